// What one volunteer gets when it asks for more than its part, or answers wrongly again and again.
import { MAX_OPEN_ASSIGNMENTS } from "@weft/protocol";
import { ScriptedVolunteer, TestCoordinator, TINY_SPEC, unwrap } from "@weft/testkit";
import { expect, test } from "vitest";

test("twelve requests at once over six runs give two leases", async () => {
  const kit = await TestCoordinator.start();
  const runs: string[] = [];
  for (let index = 0; index < 6; index += 1) runs.push(await kit.createRun({ ...TINY_SPEC, name: `run ${index}` }));
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  const replies = await Promise.all([...runs, ...runs].map((run) => eve.requestLease(run, 2)));
  expect(replies.filter((reply) => reply.ok && reply.value.kind === "lease")).toHaveLength(MAX_OPEN_ASSIGNMENTS);
  expect(replies.filter((reply) => !reply.ok && reply.code === "too-many-assignments")).toHaveLength(12 - MAX_OPEN_ASSIGNMENTS);
  for (let left = 0; left < MAX_OPEN_ASSIGNMENTS; left += 1) {
    const [held] = unwrap(await eve.connect(kit.coordinator).hello()).open;
    const { run, lease, attempt } = held ?? {};
    unwrap(await eve.say("release", { run, lease, attempt }));
  }
  expect(unwrap(await eve.requestLease(null, 2)).kind).toBe("lease");
});

test("an answer on other weights than the lease's ends the assignment before a byte is sent, and stands in the ledger", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  const lease = await eve.lease(null, 2);
  expect(await eve.open(eve.contribution(lease, { base: "f".repeat(64) }))).toMatchObject({ ok: false, code: "stale" });
  expect((await kit.records(run)).slice(-2).map(({ event }) => event)).toMatchObject([
    { type: "assignment-ended", reason: "refused" },
    { type: "contribution-refused", code: "stale" },
  ]);
});

test("three uploads with other bytes than were signed for end the assignment, and more of the kind leave no record", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  const lease = await eve.lease(null, 2);
  const codes: string[] = [];
  for (let time = 0; time < 12; time += 1) {
    const reply = await eve.upload(eve.contribution(lease, { sha256: time.toString(16).padStart(64, "a") }));
    codes.push(reply.ok ? "ok" : reply.code);
  }
  expect(codes).toEqual(["wrong-hash", "wrong-hash", "bad-payload", ...Array(9).fill("lease-expired")]);
  const records = await kit.records(run);
  expect(records.filter(({ event }) => event.type === "contribution-refused")).toHaveLength(3);
  expect(records.some(({ event }) => event.type === "assignment-ended" && event.reason === "refused")).toBe(true);
});

test("the same holds after the deadline, where a late answer would still count", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  const lease = await eve.lease(null, 2);
  await kit.pass(TINY_SPEC.round.deadlineMs + 5_000);
  for (let time = 0; time < 12; time += 1) await eve.upload(eve.contribution(lease, { sha256: time.toString(16).padStart(64, "a") }));
  expect((await kit.records(run)).filter(({ event }) => event.type === "contribution-refused")).toHaveLength(3);
});

test("on what a volunteer's time goes is shown while it is here, as it last said", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const ada = new ScriptedVolunteer(1);
  await ada.join(kit.coordinator);
  const { lease, attempt } = await ada.lease(null, 2);
  const shown = () => kit.coordinator.detail(run)?.volunteers.find(({ volunteer }) => volunteer === ada.key)?.spentMs;
  expect(shown()).toBeNull();
  const spentMs = { computing: 900, downloading: 50, uploading: 30, waiting: 20 };
  unwrap(await ada.say("progress", { run, lease, attempt, done: 1, of: 2, spentMs }));
  expect(shown()).toEqual(spentMs);
  // Older pages say nothing of it.
  unwrap(await ada.say("progress", { run, lease, attempt, done: 2, of: 2 }));
  expect(shown()).toEqual(spentMs);
  unwrap(await ada.say("leave", { reason: "stop" }));
  await kit.pass(1_000);
  expect(shown() ?? null).toBeNull();
});
