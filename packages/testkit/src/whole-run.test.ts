import { replay, storageSource } from "@weft/audit";
import { sha256, verifyChain } from "@weft/ledger";
import type { Assignment } from "@weft/protocol";
import { applyDelta, f32FromBytes, f32ToBytes } from "@weft/tensors";
import { expect, test } from "vitest";
import { TINY_SPEC } from "./fixtures.ts";
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

test("with int8 deltas an assignment names those that lead to its weights from up to three versions before", async () => {
  const kit = await TestCoordinator.start();
  const training = { ...TINY_SPEC.training, versions: 6, downlink: "int8" as const };
  const run = await kit.createRun({ ...TINY_SPEC, training });
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  const seen = new Map<number, Assignment>();
  for (let turn = 0; turn < 200 && kit.coordinator.detail(run)?.phase === "running"; turn += 1) {
    const reply = await volunteer.requestLease();
    if (reply.ok && reply.value.kind === "lease") {
      seen.set(reply.value.assignment.version, reply.value.assignment);
      await volunteer.contribute(reply.value.assignment);
      await kit.coordinator.idle();
    } else await kit.pass(500);
  }
  expect([...seen.values()].map(({ deltas }) => deltas?.length ?? 0)).toEqual([0, 1, 2, 3, 3, 3]);
  for (const [version, { weights, deltas = [] }] of seen) {
    const from = deltas[0] === undefined ? weights.sha256 : deltas[0].base;
    expect(from).toBe(seen.get(version - deltas.length)?.weights.sha256);
    const values = f32FromBytes((await kit.storage.blobs.get(from)) ?? new Uint8Array());
    for (const { delta } of deltas) expect(applyDelta(values, (await kit.storage.blobs.get(delta.sha256)) ?? new Uint8Array())).toBeNull();
    expect(sha256(f32ToBytes(values))).toBe(weights.sha256);
  }
  expect(await replay(storageSource(kit.storage, run))).toMatchObject({ ok: true, same: 7 });
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
