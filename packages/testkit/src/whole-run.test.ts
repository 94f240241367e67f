import { replay, storageSource } from "@weft/audit";
import { verifyChain } from "@weft/ledger";
import { expect, test } from "vitest";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";
import { trainToTheEnd } from "./train.ts";

test("one volunteer alone trains a run to its end; the ledger verifies and recomputes to the published weights", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  await trainToTheEnd(kit, [volunteer]);

  const detail = kit.coordinator.detail(run);
  expect(detail).toMatchObject({ phase: "finished", version: 3, volunteersNow: 1 });
  expect(detail?.evaluations.map(({ version }) => version)).toEqual([0, 1, 2, 3]);
  expect(detail?.checkpoints.map(({ version }) => version)).toEqual([2, 3]);
  expect(detail?.checkpoints.at(-1)?.heldOutLoss).not.toBeNull();

  const records = await kit.records(run);
  expect(await verifyChain(run, records, kit.identity.publicKey)).toMatchObject({ ok: true, findings: [] });
  const published: string[] = [];
  const replayed = await replay(storageSource(kit.storage, run), { onVersion: (found) => published.push(found.published) });
  expect(replayed).toMatchObject({ ok: true, same: 4 });
  expect(published.at(-1)).toBe(detail?.weights.sha256);
});

test("recomputation names the version whose contribution was changed, and does not go on from it", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  await trainToTheEnd(kit, [volunteer]);
  const records = await kit.records(run);
  const second = records.find(({ event }) => event.type === "version-published" && event.version === 2)?.event;
  if (second?.type !== "version-published") throw new Error("no second version");
  const victim = second.contributions[0]?.sha256 ?? "";
  const bytes = (await kit.storage.contributions.get(run, victim)) ?? new Uint8Array();
  bytes[0] = (bytes[0] ?? 0) ^ 64;
  await kit.storage.contributions.put(run, victim, bytes);
  const versions: unknown[] = [];
  const replayed = await replay(storageSource(kit.storage, run), {
    onVersion: ({ version, outcome }) => versions.push([version, outcome]),
  });
  expect(replayed.ok).toBe(false);
  expect(versions).toEqual([
    [0, "same"],
    [1, "same"],
    [2, "different"],
  ]);
});

test("a restart in the middle of a round loses nothing that was acknowledged, and the run goes on to its end", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2, "192.0.2.8")];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  const first = await anna.lease();
  const second = await ben.lease();
  const contribution = anna.contribution(first);
  const acknowledged = await anna.upload(contribution);
  expect(acknowledged).toEqual({ ok: true, value: { kind: "admitted", version: 1 } });

  kit.abandon();
  await kit.open();
  // The answer that was acknowledged counts, and asking again gives the same verdict.
  await anna.join(kit.coordinator);
  expect(await anna.upload(contribution)).toEqual(acknowledged);
  // The lease that was out is still its holder's.
  const welcome = await ben.join(kit.coordinator);
  expect(welcome.open.map(({ lease, attempt }) => [lease, attempt])).toEqual([[second.lease, second.attempt]]);
  expect(unwrap(await ben.contribute(second)).kind).toBe("admitted");
  await trainToTheEnd(kit, [anna, ben]);

  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 3 });
  const records = await kit.records(run);
  const admitted = records.filter(
    ({ event }) => event.type === "contribution-admitted" && event.header.sha256 === contribution.header.sha256,
  );
  expect(admitted).toHaveLength(1);
  expect(await verifyChain(run, records, kit.identity.publicKey)).toMatchObject({ ok: true });
  expect((await replay(storageSource(kit.storage, run))).ok).toBe(true);
});
