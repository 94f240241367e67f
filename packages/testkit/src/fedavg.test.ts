// Local steps learn: on handwritten digits, with real gradients in plain arithmetic, FedAvg comes as far as one gradient a version does on the
// same samples, in far fewer rounds. The coordinator is the real one; only the transport is left out.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { datasetCatalog, datasetReader, evenlySpread, volunteerData } from "@weft/datasets";
import { canonicalBytes } from "@weft/ledger";
import { layoutFor } from "@weft/models";
import { type Assignment, type DatasetManifest, f32FromHex, f32ToHex, type RunSpec } from "@weft/protocol";
import { folderFiles, MemoryDisk, memoryStorage, type Storage } from "@weft/storage";
import { type Batch, f32FromBytes, viewOf } from "@weft/tensors";
import { drawSample, visitedSample } from "@weft/training";
import { expect, test } from "vitest";
import { TINY_SPEC } from "./fixtures.ts";
import { mlpStep } from "./mlp-engine.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";

const MODEL = { kind: "mlp", inputs: 64, hidden: [32], classes: 10 } as const;
const model = { ...MODEL, hidden: [...MODEL.hidden] };
const sgd = (learningRate: number) => ({ kind: "sgd", learningRate, momentum: 0, weightDecay: 0 }) as const;
const CONSTANT = { kind: "constant", warmupVersions: 0 } as const;
/** 7,680 samples each. */
const GRADIENT: RunSpec["training"] = {
  ...TINY_SPEC.training,
  versions: 60,
  samplesPerVersion: 128,
  microBatch: 128,
  optimizer: sgd(0.5),
  schedule: CONSTANT,
};
const FEDAVG: RunSpec["training"] = {
  mode: "local-steps",
  versions: 15,
  batch: 16,
  microBatch: 16,
  work: { kind: "steps", steps: 8 },
  inner: { optimizer: sgd(0.3), schedule: CONSTANT, keepState: false },
  rounds: { kind: "all", leases: 4 },
  rule: { kind: "mean" },
  optimizer: sgd(1),
  codec: "f32",
};

async function digitsIn(storage: Storage): Promise<DatasetManifest> {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  const catalog = datasetCatalog(folderFiles(new MemoryDisk(), "datasets"), storage.blobs);
  await catalog.addEmbedded((path) => readFile(join(home, "embedded", ...path.split("/"))));
  const manifest = await catalog.manifest("digits");
  if (manifest === null) throw new Error("there is no data set of digits");
  return manifest;
}

/** Part of the rows whose largest logit is the label's. */
function accuracyOf(weights: Float32Array, { inputs, targets, rows }: Batch): number {
  const views = layoutFor(model).parameters.map((parameter) => viewOf(weights, parameter));
  let right = 0;
  for (let row = 0; row < rows; row += 1) {
    let values: Float32Array = Float32Array.from(inputs.subarray(64 * row, 64 * (row + 1)));
    for (let at = 0; at < views.length; at += 2) {
      const [matrix, bias, below] = [views[at] as Float32Array, views[at + 1] as Float32Array, values];
      values = bias.map((start, output) =>
        below.reduce((sum, value, input) => sum + value * (matrix[output * below.length + input] as number), start),
      );
      if (at + 2 < views.length) values = values.map((value) => Math.max(0, value));
    }
    if (values.indexOf(Math.max(...values)) === targets[row]) right += 1;
  }
  return right / rows;
}

async function trained(training: RunSpec["training"]): Promise<{ readonly accuracy: number; readonly versions: number }> {
  const storage = memoryStorage();
  const manifest = await digitsIn(storage);
  const blobs = {
    get: async (sha256: string): Promise<Uint8Array> => {
      const bytes = await storage.blobs.get(sha256);
      if (bytes === null) throw new Error(`blob ${sha256} is missing`);
      return bytes;
    },
  };
  const kit = await TestCoordinator.start({
    storage,
    limits: { messagesPerSecond: 1e6, messageBurst: 1e6 },
    datasetLookup: { manifest: async () => ({ manifest, blob: await storage.blobs.put(canonicalBytes(manifest)) }) },
    evaluate: async (spec, _manifest, weights) => {
      const reader = datasetReader(manifest, blobs, "heldOut");
      const chosen = evenlySpread(spec.evaluation.samples, reader.samples);
      const batch = await reader.images(chosen, chosen.length);
      const lossMean = f32ToHex(mlpStep(model, weights, batch).lossSum / chosen.length);
      return { lossMean, accuracy: f32ToHex(accuracyOf(weights, batch)), samples: chosen.length };
    },
  });
  const spec: RunSpec = {
    ...TINY_SPEC,
    dataset: "digits",
    model,
    training,
    evaluation: { everyVersions: 1_000, samples: 360 },
    checkpoints: { everyVersions: 1_000 },
  };
  const run = await kit.createRun(spec);
  const data = volunteerData({ blobs, draw: drawSample, visit: visitedSample });
  const people = [1, 2].map((seed) => new ScriptedVolunteer(seed, `192.0.2.${seed}`));
  for (const volunteer of people) await volunteer.join(kit.coordinator);

  /** One gradient, or what the local steps changed. */
  const compute = async (assignment: Assignment): Promise<Float32Array> => {
    const base = f32FromBytes(await blobs.get(assignment.weights.sha256));
    const weights = base.slice();
    const step = training.mode === "gradient" ? assignment.samples : training.batch;
    for (let from = 0; from < assignment.samples; from += step) {
      const to = Math.min(from + step, assignment.samples);
      const { gradientSum } = mlpStep(model, weights, await data.batch({ assignment, spec, manifest }, from, to, to - from));
      if (training.mode === "gradient") return gradientSum.map((value) => value / (to - from));
      const rate = f32FromHex(assignment.learningRate ?? "");
      for (const [at, value] of gradientSum.entries()) weights[at] = (weights[at] as number) - (rate * value) / (to - from);
    }
    return base.map((value, at) => value - (weights[at] as number));
  };
  for (let turn = 0; turn < 500 && kit.coordinator.detail(run)?.phase === "running"; turn += 1)
    for (const volunteer of people) {
      const reply = unwrap(await volunteer.requestLease(run, 1e6));
      if (reply.kind === "none") await kit.pass(500);
      else unwrap(await volunteer.upload(volunteer.contribution(reply.assignment, {}, await compute(reply.assignment))));
      await kit.coordinator.idle();
    }
  const detail = kit.coordinator.detail(run);
  return { accuracy: detail?.accuracy ?? 0, versions: detail?.version ?? 0 };
}

test("FedAvg reads digits as well as one gradient a version on as many samples, in a quarter of the rounds", {
  timeout: 120_000,
}, async () => {
  const [gradient, fedavg] = [await trained(GRADIENT), await trained(FEDAVG)];
  expect(gradient.versions).toBe(60);
  expect(fedavg.versions).toBe(15);
  expect(gradient.accuracy).toBeGreaterThan(0.85);
  expect(fedavg.accuracy).toBeGreaterThanOrEqual(gradient.accuracy);
});
