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
    const held = (await eve.connect(kit.coordinator).hello()) as { value: { open: { run: string; lease: string; attempt: number }[] } };
    const [{ run, lease, attempt } = { run: "", lease: "", attempt: 0 }] = held.value.open;
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
