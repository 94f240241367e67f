// The volunteer's real state machine against the real coordinator over lines that are slow and break: the run still ends, and every answer
// counts once.
import { replay, storageSource, verify } from "@weft/audit";
import { sha256 } from "@weft/ledger";
import type { RunSpec } from "@weft/protocol";
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

const GRADIENT: RunSpec = { ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: 4 } };
const LOCAL_STEPS: RunSpec = {
  ...TINY_SPEC,
  training: {
    mode: "local-steps",
    versions: 6,
    batch: 4,
    microBatch: 2,
    work: { kind: "steps", steps: 3 },
    inner: {
      optimizer: { kind: "sgd", learningRate: 0.1, momentum: 0, weightDecay: 0 },
      schedule: { kind: "constant", warmupVersions: 0 },
      keepState: false,
    },
    rounds: { kind: "async", buffer: 2 },
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
    codec: "ternary",
  },
  round: { leaseMs: 2_000, deadlineMs: 20_000, maxStaleness: 3 },
  retention: { contributions: "all" },
};

async function stormyRun(seed: number, spec: RunSpec) {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun(spec);
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
  const { training } = spec;
  if (training.mode === "gradient") expect(counted).toEqual(counted.map(() => training.samplesPerVersion));
  for (const volunteer of volunteers) void volunteer.stop();
  await kit.clock.advance(5_000);
  const snapshots = volunteers.map((volunteer) => volunteer.snapshot());
  return { breaks, version: kit.coordinator.detail(run)?.version ?? -1, kit, run, snapshots };
}

test("over lines that break, real volunteers train a run to its end and every sample counts once", async () => {
  const outcome = await stormyRun(11, GRADIENT);
  expect(outcome.breaks).toBeGreaterThan(2);
  expect(outcome.version).toBe(4);
});

test("over lines that break, real volunteers take local steps in asynchronous rounds, and the ledger recomputes every version", async () => {
  const { breaks, version, kit, run, snapshots } = await stormyRun(12, LOCAL_STEPS);
  expect(breaks).toBeGreaterThan(2);
  expect(version).toBe(6);
  const source = storageSource(kit.storage, run);
  expect(await verify({ ...source, data: "left-out" })).toMatchObject({ ok: true });
  expect(await replay(source)).toMatchObject({ ok: true });
  // 1.2 s of steps a lease: most of the time of whoever works goes into them, not into waiting for the next lease.
  const spent = snapshots.map(({ spentMs }) => spentMs);
  const total = (part: (ms: (typeof spent)[number]) => number): number => spent.reduce((sum, each) => sum + part(each), 0);
  expect(total(({ computing }) => computing)).toBeGreaterThan(
    0.5 * total((each) => each.computing + each.downloading + each.uploading + each.waiting),
  );
});
