// The scene of every attack: a run, somebody honest with a lease, Eve with another; and what must hold after each attack.
// Used by the tables in attacks-*.test.ts.
import { replay, storageSource } from "@weft/audit";
import { verifyChain } from "@weft/ledger";
import type { Assignment, ErrorCode, Result } from "@weft/protocol";
import { expect } from "vitest";
import { TINY_SPEC } from "./fixtures.ts";
import { ScriptedVolunteer } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";
import { trainToTheEnd } from "./train.ts";

export interface Scene {
  readonly kit: TestCoordinator;
  readonly run: string;
  /** Connected, has said hello, holds `lease`. */
  readonly eve: ScriptedVolunteer;
  readonly lease: Assignment;
  /** Holds another lease. */
  readonly honest: ScriptedVolunteer;
  readonly honestLease: Assignment;
}

export async function setTheScene(spec = TINY_SPEC): Promise<Scene> {
  const kit = await TestCoordinator.start({ origins: (origin) => origin === "http://localhost:8787" });
  const run = await kit.createRun({ ...spec, training: { ...spec.training, versions: 2 } });
  const honest = new ScriptedVolunteer(1);
  const eve = new ScriptedVolunteer(666, "198.51.100.6");
  await honest.join(kit.coordinator);
  await eve.join(kit.coordinator);
  const honestLease = await honest.lease(null, 2);
  const lease = await eve.lease(null, 2);
  return { kit, run, eve, lease, honest, honestLease };
}

/** The run ends, its ledger verifies, its weights recompute, and nothing of an upload is left in the spool. */
export async function expectUnharmed({ kit, run, honest, honestLease, eve }: Scene): Promise<void> {
  eve.disconnect();
  await honest.contribute(honestLease);
  await trainToTheEnd(kit, [honest]);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 2 });
  const records = await kit.records(run);
  expect(await verifyChain(run, records, kit.identity.publicKey)).toMatchObject({ ok: true });
  expect((await replay(storageSource(kit.storage, run))).ok).toBe(true);
  const settledBy = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header.lease] : []));
  expect(new Set(settledBy).size).toBe(settledBy.length);
  await kit.clock.advance(11 * 60_000);
  await kit.pass(500);
  expect(kit.spool.names()).toEqual([]);
  expect(kit.coordinator.counters()["internal-errors"]).toBeUndefined();
}

export type Attack = readonly [name: string, code: ErrorCode, act: (scene: Scene) => Promise<Result<unknown>>];

export async function expectRefused(scene: Scene, [, code, act]: Attack): Promise<void> {
  const counter = `refused.${code}`;
  const before = scene.kit.coordinator.counters()[counter] ?? 0;
  const reply = await act(scene);
  expect(reply).toMatchObject({ ok: false, code });
  if (!reply.ok) expect(reply.message.length).toBeGreaterThan(5);
  expect(scene.kit.coordinator.counters()[counter]).toBe(before + 1);
}
