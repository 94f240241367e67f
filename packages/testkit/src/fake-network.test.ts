// The volunteer's real state machine against the real coordinator over lines that are slow and break: the run still ends, and every answer
// counts once.
import { sha256 } from "@weft/ledger";
import { randomStream } from "@weft/tensors";
import { Volunteer, type VolunteerEngine } from "@weft/volunteer";
import { expect, test } from "vitest";
import { fakeTransport } from "./fake-network.ts";
import { TINY_SPEC } from "./fixtures.ts";
import { withLocalSteps } from "./local-steps.ts";
import { seededIdentity, TEST_ORIGIN, TestCoordinator } from "./test-coordinator.ts";

/** Gradients that depend on the batch's rows alone; each step takes 200 ms of virtual time. */
const engineOf = (kit: TestCoordinator): VolunteerEngine =>
  withLocalSteps({
    device: { backend: "synthetic", description: "test", software: false },
    selfTest: async () => ({ passed: true, relativeError: 0, detail: "" }),
    load: async () => undefined,
    setWeights: async () => undefined,
    step: async (batch) => {
      await kit.clock.sleep(200);
      return { lossSum: batch.rows, gradientSum: new Float32Array(23).fill(0.01 * batch.rows) };
    },
    dispose: () => undefined,
  });

async function stormyRun(seed: number): Promise<{ readonly breaks: number; readonly version: number }> {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun({ ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: 4 } });
  const random = randomStream(seed, 0);
  let breaks = 0;
  const volunteers = [1, 2, 3].map((key) => {
    const identity = seededIdentity(key);
    return new Volunteer({
      identity: { volunteer: identity.publicKey, sign: (domain, value) => Promise.resolve(identity.sign(domain, value)) },
      createEngine: () => Promise.resolve(engineOf(kit)),
      data: () => ({
        batch: (_work, from, to, rows) =>
          Promise.resolve({
            rows,
            inputs: new Float32Array(4 * rows),
            targets: new Int32Array(rows),
            weights: new Float32Array(rows).fill(1, 0, to - from),
          }),
      }),
      blobs: {
        get: async (name) => {
          const bytes = await kit.storage.blobs.get(name);
          if (bytes === null) throw new Error(`no blob ${name}`);
          return bytes;
        },
      },
      hash: (bytes) => Promise.resolve(sha256(bytes)),
      clock: kit.clock,
      transport: fakeTransport(kit.listening, kit.clock, {
        address: `192.0.2.${key}`,
        delayMs: () => Math.floor(random.uniform() * 80),
        breaks: () => {
          const isBroken = random.uniform() < 0.03;
          if (isBroken) breaks += 1;
          return isBroken;
        },
      }),
      origin: TEST_ORIGIN,
      seed: key,
    });
  });
  for (const volunteer of volunteers) volunteer.start();
  for (let step = 0; step < 600 && kit.coordinator.detail(run)?.phase === "running"; step += 1) await kit.pass(500);
  const records = await kit.records(run);
  const leases = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header.lease] : []));
  expect(new Set(leases).size).toBe(leases.length);
  const counted = records.flatMap(({ event }) =>
    event.type === "version-published" ? [event.contributions.reduce((sum, { samples }) => sum + samples, 0)] : [],
  );
  expect(counted).toEqual(counted.map(() => TINY_SPEC.training.samplesPerVersion));
  for (const volunteer of volunteers) void volunteer.stop();
  await kit.clock.advance(5_000);
  return { breaks, version: kit.coordinator.detail(run)?.version ?? -1 };
}

test("over lines that break, real volunteers train a run to its end and every sample counts once", async () => {
  const outcome = await stormyRun(11);
  expect(outcome.breaks).toBeGreaterThan(2);
  expect(outcome.version).toBe(4);
});
