// Runs of local steps from end to end in this process: what they publish is what a stranger recomputes, whoever was slow, stale or gone.
import { replay, storageSource, verify } from "@weft/audit";
import { type Assignment, type EventOf, f32FromHex, type LedgerRecord, type RunSpec, type RunSpecOf } from "@weft/protocol";
import { codecNamed, decode, f32FromBytes, randomStream } from "@weft/tensors";
import { expect, test } from "vitest";
import { TINY_IMAGES, TINY_SPEC } from "./fixtures.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";

const sgd = { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 } as const;
const { training: _, ...REST } = TINY_SPEC;
const specOf = (training: Partial<RunSpecOf<"local-steps">["training"]> = {}, rest: Partial<Omit<RunSpec, "training">> = {}): RunSpec => ({
  ...REST,
  name: "local",
  training: {
    mode: "local-steps",
    versions: 6,
    batch: 2,
    microBatch: 2,
    work: { kind: "steps", steps: 3 },
    inner: { optimizer: { ...sgd, learningRate: 0.1 }, schedule: { kind: "constant", warmupVersions: 0 }, keepState: false },
    rounds: { kind: "all", leases: 3 },
    rule: { kind: "mean" },
    optimizer: sgd,
    codec: "f32",
    ...training,
  },
  round: { leaseMs: 1_000, deadlineMs: 30_000, maxStaleness: 2 },
  retention: { contributions: "all" },
  ...rest,
});
const LONG = { timeout: 60_000 };

/** What local steps from these weights over these samples could have changed: it depends on both, and on nothing else. */
function changeOf({ start, weights }: Assignment): Float32Array {
  const stream = randomStream(Number.parseInt(weights.sha256.slice(0, 8), 16), start);
  return Float32Array.from({ length: weights.sizeBytes / 4 }, () => (stream.uniform() - 0.5) * 0.1);
}
const answer = async (volunteer: ScriptedVolunteer, assignment: Assignment) =>
  volunteer.upload(volunteer.contribution(assignment, {}, changeOf(assignment)));

async function scene(volunteers: number) {
  const kit = await TestCoordinator.start({ limits: { messagesPerSecond: 1e6, messageBurst: 1e6 } });
  const people = Array.from({ length: volunteers }, (_, index) => new ScriptedVolunteer(index + 1, `192.0.2.${index + 1}`));
  for (const volunteer of people) await volunteer.join(kit.coordinator);
  return { kit, people: people as [ScriptedVolunteer, ScriptedVolunteer, ScriptedVolunteer, ...ScriptedVolunteer[]] };
}

/** These volunteers work in turn until the run is at that version, or over. */
async function train(kit: TestCoordinator, run: string, people: readonly ScriptedVolunteer[], until = Number.POSITIVE_INFINITY) {
  for (let turn = 0; turn < 500; turn += 1) {
    for (const volunteer of people) {
      const detail = kit.coordinator.detail(run);
      if (detail === null || detail.phase !== "running" || detail.version >= until) return;
      const reply = unwrap(await volunteer.requestLease(run));
      if (reply.kind === "lease") unwrap(await answer(volunteer, reply.assignment));
      await kit.coordinator.idle();
    }
    await kit.pass(500);
  }
  throw new Error(`run ${run} does not get to version ${until}: ${kit.coordinator.detail(run)?.round.reason}`);
}

const published = (records: readonly LedgerRecord[]): EventOf<"version-published">[] =>
  records.flatMap(({ event }) => (event.type === "version-published" ? [event] : []));

/** Everything that a stranger can check. */
async function checkAsStranger(kit: TestCoordinator, run: string): Promise<void> {
  const source = storageSource(kit.storage, run);
  const verified = await verify({ ...source, data: "left-out" });
  expect(verified.findings).toEqual([]);
  const versions = kit.coordinator.detail(run)?.version ?? 0;
  const first = kit.coordinator.detail(run)?.origin?.version ?? 0;
  const replayed = await replay(source);
  expect(replayed).toMatchObject({ ok: true, givenUp: [] });
  expect(replayed.same).toBe(versions - first + (first === 0 ? 1 : 0));
}

test("a round of all leases publishes the mean of what the volunteers changed, by samples", LONG, async () => {
  const { kit, people } = await scene(3);
  const run = await kit.createRun(specOf());
  await train(kit, run, people);
  const records = await kit.records(run);
  const versions = published(records);
  expect(versions).toHaveLength(6);
  // FedAvg by hand: with rate 1 the weights move by the mean change.
  const created = records[0]?.event;
  const blob = async (name: string) => f32FromBytes((await kit.storage.blobs.get(name)) as Uint8Array);
  let weights = await blob(created?.type === "run-created" ? created.weights.sha256 : "");
  for (const { contributions, weights: made } of versions) {
    const mean = new Float64Array(weights.length);
    for (const { sha256, weight } of contributions) {
      const bytes = (await kit.storage.contributions.get(run, sha256)) as Uint8Array;
      const decoded = decode(codecNamed("f32") as NonNullable<ReturnType<typeof codecNamed>>, bytes, weights.length);
      if (!decoded.ok) throw new Error(decoded.detail);
      for (const [at, value] of decoded.update.entries()) mean[at] = (mean[at] as number) + f32FromHex(weight) * value;
    }
    const next = await blob(made.sha256);
    for (const [at, value] of next.entries()) expect(value).toBeCloseTo((weights[at] as number) - (mean[at] as number), 6);
    weights = next;
  }
  await checkAsStranger(kit, run);
});

test("a lease outlives its version: a stale answer counts less, and the ledger recomputes to the same bits", LONG, async () => {
  const { kit, people } = await scene(3);
  const [anna, ben, cleo] = people;
  const run = await kit.createRun(specOf({ rounds: { kind: "async", buffer: 1 }, versions: 12, codec: "auto" }));
  const held = await anna.lease(run);
  expect(held).toMatchObject({ version: 0, codec: "int8", learningRate: expect.stringMatching(/^[0-9a-f]{8}$/) });
  await train(kit, run, [ben], 2);
  expect(unwrap(await answer(anna, held))).toEqual({ kind: "admitted", version: 3 });
  await kit.coordinator.idle();
  expect(kit.coordinator.detail(run)?.volunteers.find(({ volunteer }) => volunteer === anna.key)).toMatchObject({ stalenessLast: 2 });
  // Cleo sleeps for too long: what she holds is taken back and given again.
  const slept = await cleo.lease(run);
  await train(kit, run, [ben], 6);
  expect(cleo.revoked.at(-1)).toMatchObject({ lease: slept.lease, reason: "round-closed" });
  expect(await answer(cleo, slept)).toMatchObject({ ok: false });
  await train(kit, run, [anna, ben]);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 12 });
  await checkAsStranger(kit, run);
});

test("a quorum closes its round without the slow, whose answers are the next one's", LONG, async () => {
  const { kit, people } = await scene(4);
  const [anna, ben, cleo, dora] = people as [ScriptedVolunteer, ScriptedVolunteer, ScriptedVolunteer, ScriptedVolunteer];
  const run = await kit.createRun(specOf({ rounds: { kind: "quorum", leases: 4, share: 0.5 }, codec: "ternary" }));
  await train(kit, run, [anna, ben, cleo], 1);
  const late = await dora.lease(run);
  await train(kit, run, [anna, ben, cleo], 2);
  expect(kit.coordinator.detail(run)?.round).toMatchObject({
    version: 3,
    leases: expect.arrayContaining([expect.objectContaining({ lease: late.lease, state: "out" })]),
  });
  unwrap(await answer(dora, late));
  await train(kit, run, people);
  const counted = published(await kit.records(run)).flatMap(({ version, contributions }) =>
    contributions.map(({ lease }) => ({ version, lease })),
  );
  expect(counted).toContainEqual({ version: 3, lease: late.lease });
  await checkAsStranger(kit, run);
});

test("what is admitted while a round closes survives a crash, and is the next version's", LONG, async () => {
  let closed: (() => void) | null = null;
  const kit = await TestCoordinator.start({
    compute: (inner) => ({
      ...inner,
      initialWeights: (model, seed) => inner.initialWeights(model, seed),
      takeIn: (upload) => inner.takeIn(upload),
      evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
      checkpoint: (input) => inner.checkpoint(input),
      closeRound: async (...round) => {
        // The first closing never ends: its process is killed.
        if (closed === null) await new Promise<void>((resolve) => (closed = resolve));
        return inner.closeRound(...round);
      },
    }),
  });
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  const created = unwrap(await kit.coordinator.createRun(specOf({ rounds: { kind: "async", buffer: 1 }, versions: 3 }), "test"));
  await kit.coordinator.tick();
  const { run } = created;
  const [first, second] = [await anna.lease(run), await ben.lease(run)];
  unwrap(await answer(anna, first));
  const late = ben.contribution(second, {}, changeOf(second));
  expect(unwrap(await ben.upload(late))).toEqual({ kind: "admitted", version: 2 });
  kit.abandon();
  await kit.open();
  await ben.join(kit.coordinator);
  // The same answer again: the same verdict.
  expect(unwrap(await ben.upload(late))).toEqual({ kind: "admitted", version: 2 });
  await train(kit, run, [ben]);
  const versions = published(await kit.records(run));
  const leases = versions.map(({ contributions }) => contributions.map(({ lease }) => lease));
  expect(leases[0]).toEqual([first.lease]);
  expect(leases[1]).toContain(second.lease);
  await checkAsStranger(kit, run);
});

test("roll-back, resume and fork go on with what a version left uncounted: each sample still comes once an epoch", LONG, async () => {
  const { kit, people } = await scene(3);
  const [anna, ben] = people;
  const order = async (command: Record<string, unknown>): Promise<string> => {
    const reply = unwrap(await kit.coordinator.command(command, "ada"));
    await kit.coordinator.idle();
    return reply?.run ?? "";
  };
  // Seven samples a lease of an epoch of forty, so that leases straddle epochs.
  const spec = specOf({ rounds: { kind: "async", buffer: 1 }, batch: 7, work: { kind: "steps", steps: 1 }, versions: 14 });
  const run = await kit.createRun(spec);
  await anna.lease(run);
  await train(kit, run, [ben], 2);
  const pending = [{ start: 0, length: 7 }];
  const resumed = await order({ type: "resume-from", run, version: 2, name: "resumed" });
  const forked = await order({
    type: "fork",
    run,
    version: 1,
    spec: { ...spec, name: "forked", training: { ...spec.training, versions: 13 } },
  });
  await order({ type: "stop-run", run: forked });
  await train(kit, run, [ben], 5);
  await order({ type: "roll-back", run, version: 2 });
  const back = (await kit.records(run)).findLast(({ event }) => event.type === "run-rolled-back");
  expect(back?.event).toMatchObject({ to: 2, position: 21, pending });
  await anna.join(kit.coordinator);
  await train(kit, run, [ben]);
  await train(kit, resumed, [ben]);
  expect(TINY_IMAGES.train[0]?.samples).toBe(40);
  for (const [id, version] of [
    [run, 18],
    [resumed, 14],
  ] as const) {
    expect(kit.coordinator.detail(id)).toMatchObject({ phase: "finished", version, steps: 14 });
    await checkAsStranger(kit, id);
  }
  const [first] = await kit.records(resumed);
  expect(first?.event).toMatchObject({ origin: { version: 2, position: 21, pending } });
  const [fork] = await kit.records(forked);
  expect(fork?.event).toMatchObject({ origin: { version: 1, position: 14, pending } });
});

test("a run by clients weighs each by its samples", LONG, async () => {
  const kit = await TestCoordinator.start({
    datasetLookup: {
      manifest: async () => ({
        manifest: TINY_IMAGES,
        blob: await kit.storage.blobs.put(new TextEncoder().encode(JSON.stringify(TINY_IMAGES))),
      }),
      clients: () => Promise.resolve({ ok: true, value: [5, 15, 20] }),
    },
  });
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  const { work: _work, ...training } = specOf().training as RunSpecOf<"local-steps">["training"];
  const sampler = { kind: "clients", clients: 3, perRound: 3, epochs: 2, partition: { kind: "iid" } } as const;
  const run = await kit.createRun({ ...specOf(), sampler, training });
  await train(kit, run, [volunteer]);
  for (const { contributions, samples } of published(await kit.records(run))) {
    expect(samples).toBe(80);
    expect(contributions.map(({ weight }) => f32FromHex(weight)).toSorted()).toEqual([0.125, 0.375, 0.5]);
  }
  await checkAsStranger(kit, run);
});
