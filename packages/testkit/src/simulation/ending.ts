// The end of a simulation: everybody goes home, what is owed is done, and what no single event shows is checked of the whole.
import { isDeepStrictEqual } from "node:util";
import { type RunSource, replay, storageSource } from "@weft/audit";
import { keptVersions, type LedgerRecord, type RunSpec } from "@weft/protocol";
import { f32FromBytes, f32ToBytes } from "@weft/tensors";
import { closeRound, foldRun, learningRate, type ReadonlyRun } from "@weft/training";
import { hashOf } from "./host.ts";
import { checkEpochs, hold } from "./invariants.ts";
import type { Machine } from "./machine.ts";
import type { SimulationPlan } from "./plan.ts";
import type { Tab } from "./tab.ts";
import { addToyGradient } from "./toy-engine.ts";
import { START_MS } from "./trickster.ts";

export type Until = (isSo: () => boolean, limitMs: number) => Promise<boolean>;

const TRAINING_SAMPLES = 40;

/** Everybody goes home; what is owed is done. */
export async function settle(plan: SimulationPlan, { host }: Machine, tabs: readonly Tab[], until: Until): Promise<void> {
  const nowMs = (): number => host.clock.monotonicMs() - START_MS;
  for (const tab of tabs) tab.vanish();
  // What still goes wrong with the coordinator until it is calm goes wrong; then it has time for its debts.
  const fromMs = Math.max(nowMs(), plan.calmAtMs);
  await until(() => nowMs() > fromMs && host.coordinator !== null, fromMs + 60_000);
  const paid = (): boolean =>
    host.coordinator
      ?.inside()
      .runs.every(
        ({ state }) => state !== null && (state.phase === "stopped" || state.owed.evaluations.size + state.owed.checkpoints.size === 0),
      ) === true;
  const isPaid = await until(paid, nowMs() + 180_000);
  hold(
    "debts-are-paid",
    isPaid,
    () =>
      `what is owed is not done three minutes after the end: ${JSON.stringify(host.coordinator?.inside().runs.map(({ state }) => (state === null ? null : { phase: state.phase, evaluations: [...state.owed.evaluations.keys()], checkpoints: [...state.owed.checkpoints.keys()] })))}`,
  );
  // What is checked at the end is read while no time passes: a disk that took its time would never answer.
  host.diskDelayMs = () => 0;
  await until(() => false, nowMs() + 20_000);
  // Whoever runs it may just be starting it again, for what its disk did before.
  await until(() => host.coordinator !== null, nowMs() + 60_000);
  const inside = host.coordinator?.inside();
  hold("debts-are-paid", inside?.uploads === 0, () => `${inside?.uploads} uploads are left after the end`);
  // What a disk would not remove goes with the next start.
  const left = host.coordinator?.counters()["spool.drop-failed"] === undefined ? await host.spooled() : [];
  hold("debts-are-paid", left.length === 0, () => `files of uploads are left after the end: ${left.join(", ")}`);
}

async function* recordsOf(records: readonly LedgerRecord[], fromSeq = 0): AsyncGenerator<LedgerRecord> {
  yield* records.slice(fromSeq);
}

/** How many versions were recomputed, and of how many the contributions were let go. */
export interface Replayed {
  readonly recomputed: number;
  readonly givenUp: number;
}

export async function checkEnd(plan: SimulationPlan, { host, witness }: Machine): Promise<Replayed> {
  const { coordinator, storage } = host;
  if (coordinator === null || storage === null) throw new Error("the coordinator is down");
  const counters = coordinator.counters();
  hold("nothing-breaks", counters["internal-errors"] === undefined, () => `${counters["internal-errors"]} internal errors`);
  const sums = { recomputed: 0, givenUp: 0 };
  for (const [run, { book, records, acknowledged, state }] of witness.ledgers) {
    const read: LedgerRecord[] = [];
    for await (const record of storage.ledger.read(run)) read.push(record);
    hold("ledger-only-grows", isDeepStrictEqual(read, records), () => `${run}: what is on disk is not what was written`);
    hold(
      "fold-is-state",
      isDeepStrictEqual(foldRun(read), state),
      () => `${run}: folded at once it is another state than folded as it came`,
    );
    for (const key of acknowledged.keys())
      hold(
        "accounted-once",
        typeof book.admitted.get(key)?.accounted === "string",
        () => `${run}: the acknowledged ${key} is in no version and named by no stop`,
      );
    checkEpochs(book.spec, book.position, TRAINING_SAMPLES);
    // Its records have just been read.
    const source: RunSource = { ...storageSource(storage, run), records: (fromSeq) => recordsOf(read, fromSeq) };
    const { ok, same, givenUp, refused, different } = await replay(source, { hash: hashOf });
    const goneUntil = book.version - keptVersions(book.spec);
    hold(
      "replay-is-identical",
      ok && givenUp.every((version) => version <= goneUntil),
      () => `${run}: ${refused ?? JSON.stringify(different ?? { givenUp, goneUntil })}`,
    );
    sums.recomputed += same;
    sums.givenUp += givenUp.length;
    if (plan.isFixed) await checkUndisturbed(run, beginningOf(witness, run), book.spec, state, storage.blobs);
  }
  return sums;
}

interface Beginning {
  readonly weights: string;
  readonly optimizer: string | null;
  readonly position: number;
  readonly steps: number;
}
/** Of a run that was resumed, however often: where the first of them began. A fork has another specification, and begins with its own. */
function beginningOf(witness: Machine["witness"], run: string): Beginning {
  const created = witness.ledgers.get(run)?.records[0]?.event;
  if (created?.type !== "run-created") throw new Error(`${run} has no beginning`);
  const { weights, origin } = created;
  if (origin?.change === "resume" && witness.ledgers.has(origin.run)) return beginningOf(witness, origin.run);
  const { position = 0, steps = 0, optimizer = null } = origin ?? {};
  return { weights: weights.sha256, optimizer: optimizer?.sha256 ?? null, position, steps };
}

/** Round after round as if nothing had happened, with what every honest volunteer would answer. */
async function checkUndisturbed(
  run: string,
  first: Beginning,
  spec: RunSpec,
  state: ReadonlyRun,
  blobs: { get(sha256: string): Promise<Uint8Array | null> },
): Promise<void> {
  const blob = async (name: string): Promise<Uint8Array> => {
    const bytes = await blobs.get(name);
    if (bytes === null) throw new Error(`what ${run} began with is gone: ${name}`);
    return bytes;
  };
  if (spec.training.mode !== "gradient") throw new Error("only rounds of gradients have fixed leases");
  let weights = f32FromBytes(await blob(first.weights));
  let optimizer = first.optimizer === null ? null : await blob(first.optimizer);
  let { position } = first;
  const { samplesPerVersion, microBatch } = spec.training;
  for (let step = first.steps; step < state.steps; step += 1) {
    const contributions = [];
    for (let at = 0; at < samplesPerVersion; at += microBatch) {
      const samples = Math.min(microBatch, samplesPerVersion - at);
      const mean = new Float32Array(weights.length);
      let loss = 0;
      for (let row = 0; row < samples; row += 1) loss += addToyGradient(mean, weights, position + at + row);
      for (let index = 0; index < mean.length; index += 1) mean[index] = (mean[index] as number) / samples;
      contributions.push({ samples, codec: "f32", bytes: f32ToBytes(mean), lossMean: loss / samples });
    }
    const rate = learningRate(spec, { steps: step, samples: position });
    const next = closeRound({ spec, weights, steps: step, optimizer, learningRate: rate }, contributions);
    if (!next.ok) throw new Error(next.message);
    ({ weights, optimizer } = next.value);
    position += samplesPerVersion;
  }
  hold(
    "undisturbed",
    hashOf(f32ToBytes(weights)) === state.weights.sha256,
    () => `after ${state.steps} steps the weights of ${run} are not those of an undisturbed run`,
  );
}
