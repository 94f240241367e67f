// One process of the bench's clients: the engine that volunteers have, on WASM, which trains the client that it is told and answers with its
// contribution as it would travel.
import { clientsOf, type DatasetReader, datasetReader, type Partition } from "@weft/datasets";
import { createEngine, type Engine } from "@weft/engine";
import { leaseNumber, readsText } from "@weft/protocol";
import { type Batch, codecNamed } from "@weft/tensors";
import { drawSample, visitedSample } from "@weft/training";
import { answerOrders } from "../../support/child-processes.ts";
import { type ClientAnswer, type ClientOrder, type FederatedRun, specOf } from "./federated-run.ts";
import { federatedDataset } from "./little-play.ts";

const EVALUATED_AT_ONCE = 500;

interface Home {
  readonly run: FederatedRun;
  readonly engine: Engine;
  readonly train: DatasetReader;
  readonly heldOut: DatasetReader;
  readonly partition: Partition;
}

async function begin(run: FederatedRun, dataFolder: string | null): Promise<Home> {
  const { manifest, shards } = await federatedDataset(run.dataset, dataFolder);
  // Everything stays in memory: clients draw from all over the set.
  const whole = Number.POSITIVE_INFINITY;
  const train = datasetReader(manifest, shards, "train", whole);
  const partition = await clientsOf(specOf(run), train);
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  await engine.load(run.model, run.batch);
  return { run, engine, train, heldOut: datasetReader(manifest, shards, "heldOut", whole), partition };
}

async function visit({ run, engine, train, partition }: Home, position: number, weights: Float32Array): Promise<ClientAnswer> {
  const { seed, epochs, batch, learningRate } = run;
  const spec = specOf(run);
  const client = drawSample(spec.sampler, seed, position, run.clients);
  const size = partition.size(client);
  const inEpoch = Math.ceil(size / batch);
  const batchOf = (step: number): Promise<Batch> => {
    const epoch = Math.floor(step / inEpoch);
    const from = (step % inEpoch) * batch;
    const places = Array.from({ length: Math.min(batch, size - from) }, (_, at) => visitedSample(seed, position, epoch, size, from + at));
    const samples = places.map((place) => partition.sample(client, place));
    return readsText(run.model) ? train.windows(samples, run.model.context, batch) : train.images(samples, batch);
  };
  await engine.setWeights(weights);
  const { optimizer } = spec.training.inner;
  const result = await engine.localSteps(
    { steps: epochs * inEpoch, optimizer, learningRate, clipNorm: Number.POSITIVE_INFINITY, state: null },
    async (step) => [await batchOf(step)],
  );
  if (result === null) throw new Error("the steps were given up");
  const lease = leaseNumber(`${Math.floor(position / run.perRound)}.${position % run.perRound}`);
  const encoded = codecNamed(run.codec)?.encode(result.update, { seed, lease });
  if (encoded?.ok !== true) throw new Error(`the update of client ${client} cannot be encoded: ${encoded?.detail ?? run.codec}`);
  return { kind: "contribution", position, samples: result.samples, lossMean: result.lossSum / result.samples, bytes: encoded.bytes };
}

async function evaluate({ engine, heldOut }: Home, weights: Float32Array, from: number, to: number): Promise<ClientAnswer> {
  await engine.setWeights(weights);
  let correct = 0;
  for (let at = from; at < to; at += EVALUATED_AT_ONCE) {
    const rows = Math.min(EVALUATED_AT_ONCE, to - at);
    const images = Uint32Array.from({ length: rows }, (_, index) => at + index);
    correct += (await engine.evaluate(await heldOut.images(images, rows))).correct;
  }
  return { kind: "score", correct, of: to - from };
}

let home: Home | null = null;
answerOrders<ClientOrder, ClientAnswer>(async (order) => {
  if (order.kind === "begin") {
    home = await begin(order.run, order.dataFolder);
    return { kind: "ready", heldOut: home.heldOut.samples };
  }
  if (home === null) throw new Error("nothing has begun");
  return order.kind === "visit" ? visit(home, order.position, order.weights) : evaluate(home, order.weights, order.from, order.to);
});
