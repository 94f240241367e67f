// Going back and going on give the bits that they promise: a resumed run those of the run it comes from, a rolled-back one those of a
// resumed one, and the sample stream goes on where the weights stand.
import { createLineage } from "@weft/ledger";
import type { Assignment, EventOf, LedgerRecord, RunSpec } from "@weft/protocol";
import { randomStream } from "@weft/tensors";
import { drawSample } from "@weft/training";
import { expect, test } from "vitest";
import { TINY_IMAGES, TINY_SPEC } from "./fixtures.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";

const SPEC: RunSpec = {
  ...TINY_SPEC,
  training: {
    ...TINY_SPEC.training,
    versions: 10,
    microBatch: 4,
    codec: "int8",
    schedule: { kind: "cosine", warmupVersions: 3, finalFraction: 0.1 },
  },
};

/** Every upload is signed and checked, in plain JavaScript: seconds on a machine that does other things too. */
const LONG = { timeout: 60_000 };

type Published = EventOf<"version-published">;
const published = (records: readonly LedgerRecord[]): Published[] =>
  records.flatMap(({ event }) => (event.type === "version-published" ? [event] : []));
/** What a version is made of, and what it is. */
const bitsOf = ({ version, weights, optimizer, learningRate, norm, contributions }: Published) => ({
  version,
  weights,
  optimizer,
  learningRate,
  norm,
  contributions: contributions.map(({ lease, sha256, samples }) => ({ lease, sha256, samples })),
});

/** An update that depends on the samples and the weights alone, as a gradient does. */
function gradientOf({ start, weights }: Assignment): Float32Array {
  const stream = randomStream(Number.parseInt(weights.sha256.slice(0, 8), 16), start);
  return Float32Array.from({ length: weights.sizeBytes / 4 }, () => (stream.uniform() - 0.5) * 0.1);
}

async function scene() {
  const kit = await TestCoordinator.start({ limits: { messagesPerSecond: 1e6, messageBurst: 1e6 } });
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  /** Trains this run until it is at that version, or at its end. */
  const train = async (run: string, until = Number.POSITIVE_INFINITY): Promise<void> => {
    for (let turn = 0; turn < 500; turn += 1) {
      const detail = kit.coordinator.detail(run);
      if (detail === null || detail.phase !== "running" || detail.version >= until) return;
      const reply = unwrap(await volunteer.requestLease(run));
      if (reply.kind === "none") await kit.pass(500);
      else unwrap(await volunteer.upload(volunteer.contribution(reply.assignment, {}, gradientOf(reply.assignment))));
      await kit.coordinator.idle();
    }
    throw new Error(`run ${run} does not get to version ${until}`);
  };
  const order = async (command: Record<string, unknown>): Promise<string> => {
    const reply = unwrap(await kit.coordinator.command(command, "ada"));
    await kit.coordinator.idle();
    return reply?.run ?? "";
  };
  return { kit, volunteer, train, order };
}

test("a run resumed from any version has the later versions of the run it comes from, bit for bit", LONG, async () => {
  const { kit, train, order } = await scene();
  const whole = await kit.createRun(SPEC);
  await train(whole);
  const wanted = published(await kit.records(whole));
  expect(wanted).toHaveLength(10);
  for (const version of [0, 4, 9]) {
    const run = await order({ type: "resume-from", run: whole, version });
    await train(run);
    const found = published(await kit.records(run));
    expect(found.map(bitsOf)).toEqual(wanted.slice(version).map(bitsOf));
    expect(kit.coordinator.detail(run)).toMatchObject({
      phase: "finished",
      version: 10,
      steps: 10,
      origin: { change: "resume", run: whole },
    });
  }
});

test("a resumed run names the record it comes from, and can be resumed itself", LONG, async () => {
  const { kit, train, order } = await scene();
  const first = await kit.createRun(SPEC);
  await train(first, 4);
  const second = await order({ type: "resume-from", run: first, version: 3, name: "second" });
  await train(second, 6);
  const third = await order({ type: "resume-from", run: second, version: 5 });
  await train(third);
  await train(first);
  expect(second).toBe("second");
  const made = (await kit.records(first)).find(({ event }) => event.type === "version-published" && event.version === 3);
  const [created] = await kit.records(second);
  expect(created?.event).toMatchObject({
    spec: { ...SPEC, name: "second" },
    origin: { change: "resume", run: first, version: 3, seq: made?.seq, head: made?.hash, position: 24, steps: 3 },
  });
  const last = (records: readonly LedgerRecord[]) => published(records).at(-1)?.weights;
  expect(last(await kit.records(third))).toEqual(last(await kit.records(first)));
});

test("a run rolled back to a version goes on as one that is resumed from it", LONG, async () => {
  const { kit, train, order } = await scene();
  // Of f32, since int8 rounds by the lease's number, which the versions in between move on.
  const run = await kit.createRun({ ...SPEC, training: { ...SPEC.training, codec: "f32" } });
  await train(run, 7);
  const resumed = await order({ type: "resume-from", run, version: 3 });
  await order({ type: "roll-back", run, version: 3 });
  await train(run);
  await train(resumed);
  const weightsOf = async (of: string, from: number) =>
    published(await kit.records(of))
      .filter(({ version }) => version > from)
      .map(({ weights, optimizer, learningRate }) => ({ weights, optimizer, learningRate }));
  expect(await weightsOf(run, 8)).toEqual(await weightsOf(resumed, 3));
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 15, steps: 10 });
  expect(kit.coordinator.detail(run)?.weights).toEqual(kit.coordinator.detail(resumed)?.weights);
});

test(
  "with the epoch sampler every sample is counted once an epoch in what survives of a run that was rolled back twice",
  LONG,
  async () => {
    const { kit, volunteer, train, order } = await scene();
    const run = await kit.createRun(SPEC);
    await train(run, 4);
    // In the middle of a round, of which something is in and something is out.
    await volunteer.upload(volunteer.contribution(await volunteer.lease(run)));
    await volunteer.lease(run);
    await order({ type: "roll-back", run, version: 2 });
    await train(run, 8);
    await order({ type: "roll-back", run, version: 6 });
    await train(run);
    const records = await kit.records(run);
    const lineage = createLineage();
    for (const { event } of records) lineage.apply(event);
    const starts = new Map(records.flatMap(({ event }) => (event.type === "lease-assigned" ? [[event.lease, event.start] as const] : [])));
    const counted: number[] = [];
    for (const { version, contributions } of published(records)) {
      if (!lineage.has(version)) continue;
      for (const { lease, samples } of contributions)
        for (let at = 0; at < samples; at += 1) counted.push((starts.get(lease) as number) + at);
    }
    expect(counted).toEqual(Array.from({ length: 80 }, (_, position) => position));
    const all = Array.from({ length: 40 }, (_, sample) => sample);
    for (const epoch of [0, 1]) {
      const drawn = counted.slice(40 * epoch, 40 * (epoch + 1)).map((position) => drawSample(SPEC.sampler, SPEC.seed, position, 40));
      expect(drawn.toSorted((a, b) => a - b)).toEqual(all);
    }
    expect(TINY_IMAGES.train[0]?.samples).toBe(40);
    const abandoned = records.flatMap(({ event }) => (event.type === "run-rolled-back" ? [event.abandoned.length] : []));
    expect(abandoned).toEqual([1, 0]);
  },
);

test("a roll-back survives a restart of the coordinator, and what was given up does not come back", LONG, async () => {
  const { kit, volunteer, train, order } = await scene();
  const run = await kit.createRun(SPEC);
  await train(run, 3);
  const held = await volunteer.lease(run);
  const answer = volunteer.contribution(held, {}, gradientOf(held));
  await order({ type: "roll-back", run, version: 1 });
  expect(volunteer.revoked.at(-1)).toMatchObject({ lease: held.lease, reason: "rolled-back" });
  const before = kit.coordinator.detail(run);
  kit.abandon();
  await kit.open();
  expect(kit.coordinator.detail(run)).toMatchObject({
    version: 4,
    steps: 1,
    weights: before?.weights,
    rollBacks: [{ version: 4, to: 1, by: "ada" }],
  });
  await volunteer.join(kit.coordinator);
  expect(await volunteer.upload(answer)).toMatchObject({ ok: false, code: "stale" });
  await train(run);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 13, steps: 10 });
});
