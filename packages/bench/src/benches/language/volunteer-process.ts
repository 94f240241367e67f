// One device of the bench in a process of its own: the engine that volunteers have, on WASM, which works on the lease that it is told and
// answers with the contribution's bytes as they would travel.
import { type DatasetReader, datasetReader, evenlySpread, windowPopulation } from "@weft/datasets";
import { createEngine, type Engine } from "@weft/engine";
import { leaseNumber, type RunSpec, readsText } from "@weft/protocol";
import {
  type Batch,
  type Codec,
  type CodecStream,
  codecNamed,
  type Encoded,
  ErrorFeedback,
  type LocalStepsResult,
  type Proposal,
} from "@weft/tensors";
import { drawSample } from "@weft/training";
import { answerOrders } from "../../support/child-processes.ts";
import { type LoadedDataset, loadDataset } from "../../support/data-sets.ts";
import type { VolunteerAnswer, VolunteerOrder } from "./language-run.ts";

const EVALUATED_AT_ONCE = 16;

interface Home {
  readonly spec: RunSpec;
  readonly context: number;
  readonly train: DatasetReader;
  readonly heldOut: DatasetReader;
  volunteer: string | null;
  /** What a biased codec could not say yet. */
  feedback: ErrorFeedback | null;
  proposal: Proposal | null;
}

let device: Engine | null = null;
let loaded: LoadedDataset | null = null;
let home: Home | null = null;
/** How many runs were here: optimiser state is of one of them. */
let runs = 0;

async function begin(spec: RunSpec, dataFolder: string | null): Promise<VolunteerAnswer> {
  loaded = loaded?.manifest.id === spec.dataset ? loaded : await loadDataset(spec.dataset, dataFolder);
  const { manifest, shards } = loaded;
  if (manifest.form.kind !== "text" || !readsText(spec.model)) throw new Error("a text is wanted, and a model that reads it");
  const { alphabet } = manifest.form;
  if (alphabet.length !== spec.model.vocabulary)
    throw new Error(`${spec.dataset} has ${alphabet.length} symbols, the model ${spec.model.vocabulary}`);
  device ??= await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  await device.load(spec.model, spec.training.microBatch);
  runs += 1;
  const train = datasetReader(manifest, shards, "train");
  const heldOut = datasetReader(manifest, shards, "heldOut");
  home = { spec, context: spec.model.context, train, heldOut, volunteer: null, feedback: null, proposal: null };
  return { kind: "ready", heldOut: windowPopulation(heldOut.samples, spec.model.context) };
}

async function work(engine: Engine, at: Home, order: Extract<VolunteerOrder, { kind: "work" }>): Promise<VolunteerAnswer> {
  const { spec, context, train } = at;
  if (at.volunteer !== order.volunteer) Object.assign(at, { volunteer: order.volunteer, feedback: null, proposal: null });
  const population = windowPopulation(train.samples, context);
  const batchOf = (from: number, rows: number): Promise<Batch> =>
    train.windows(
      Float64Array.from({ length: rows }, (_, row) => drawSample(spec.sampler, spec.seed, order.start + from + row, population)),
      context,
      spec.training.microBatch,
    );
  await engine.setWeights(order.weights);
  const { update, lossSum } = await (spec.training.mode === "gradient"
    ? gradient(engine, order.samples, spec.training.microBatch, batchOf)
    : steps(engine, at, order, batchOf));
  const bytes = encode(at, order, update);
  return { kind: "contribution", bytes, lossMean: Math.fround(lossSum / order.samples) };
}

type BatchOf = (from: number, rows: number) => Promise<Batch>;
type Computed = Pick<LocalStepsResult, "update" | "lossSum">;

async function gradient(engine: Engine, samples: number, microBatch: number, batchOf: BatchOf): Promise<Computed> {
  let update: Float32Array | null = null;
  let lossSum = 0;
  for (let from = 0; from < samples; from += microBatch) {
    const step = await engine.step(await batchOf(from, Math.min(microBatch, samples - from)));
    lossSum += step.lossSum;
    const sum: Float32Array = update ?? new Float32Array(step.gradientSum.length);
    for (let place = 0; place < sum.length; place++) sum[place] = (sum[place] as number) + (step.gradientSum[place] as number);
    update = sum;
  }
  if (update === null) throw new Error("a lease without samples");
  for (let place = 0; place < update.length; place++) update[place] = (update[place] as number) / samples;
  return { update, lossSum };
}

async function steps(
  engine: Engine,
  { spec: { training } }: Home,
  { volunteer, samples, learningRate }: Extract<VolunteerOrder, { kind: "work" }>,
  batchOf: BatchOf,
): Promise<Computed> {
  if (training.mode !== "local-steps" || learningRate === null) throw new Error("a lease of local steps names their learning rate");
  const { optimizer, clipNorm = Number.POSITIVE_INFINITY, keepState } = training.inner;
  const { batch } = training;
  const state = keepState ? `${runs} ${volunteer}` : null;
  const result = await engine.localSteps({ steps: samples / batch, optimizer, learningRate, clipNorm, state }, async (step) => [
    await batchOf(step * batch, batch),
  ]);
  if (result?.samples !== samples) throw new Error("the steps were given up");
  return result;
}

/** Null where a value is not finite: the run has diverged. */
function encode(at: Home, { codec: name, lease }: Extract<VolunteerOrder, { kind: "work" }>, update: Float32Array): Uint8Array | null {
  const codec = codecNamed(name);
  if (codec === undefined) throw new Error(`there is no codec ${name}`);
  const stream = { seed: at.spec.seed, lease: leaseNumber(lease) };
  at.proposal = null;
  const encoded = codec.feedback === undefined ? codec.encode(update, stream) : propose(at, codec, codec.feedback, update, stream);
  if (!encoded.ok && encoded.fault === "not-finite") return null;
  if (!encoded.ok) throw new Error(`the update of lease ${lease} cannot be encoded: ${encoded.detail}`);
  return encoded.bytes;
}

function propose(at: Home, codec: Codec, beta: number, update: Float32Array, stream: CodecStream): Encoded {
  at.feedback ??= new ErrorFeedback(codec, beta, new Float32Array(update.length));
  const proposal = at.feedback.propose(update, stream);
  at.proposal = proposal.ok ? proposal : null;
  return proposal;
}

async function evaluate(
  engine: Engine,
  { heldOut, context }: Home,
  { weights, from, to, of }: Extract<VolunteerOrder, { kind: "evaluate" }>,
): Promise<VolunteerAnswer> {
  await engine.setWeights(weights);
  const windows = evenlySpread(of, windowPopulation(heldOut.samples, context)).subarray(from, to);
  let lossSum = 0;
  for (let done = 0; done < windows.length; done += EVALUATED_AT_ONCE) {
    const some = windows.subarray(done, done + EVALUATED_AT_ONCE);
    lossSum += (await engine.evaluate(await heldOut.windows(some, context, some.length))).lossSum;
  }
  return { kind: "score", lossSum };
}

answerOrders<VolunteerOrder, VolunteerAnswer>(async (order) => {
  if (order.kind === "begin") return begin(order.spec, order.dataFolder);
  if (home === null || device === null) throw new Error("nothing has begun");
  switch (order.kind) {
    case "work":
      return work(device, home, order);
    case "evaluate":
      return evaluate(device, home, order);
    case "verdict":
      if (order.admitted) home.proposal?.commit();
      home.proposal = null;
      return { kind: "settled" };
    default:
      return order satisfies never;
  }
});
