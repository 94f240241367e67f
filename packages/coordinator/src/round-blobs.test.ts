// In whose memory a round asks for its contributions.
import type { RunSpec } from "@weft/protocol";
import { memoryStorage, type Room } from "@weft/storage";
import { f32ToBytes } from "@weft/tensors";
import { aggregationRule } from "@weft/training";
import { expect, it } from "vitest";
import { closeFromBlobs } from "./round-blobs.ts";

const MEAN = { kind: "mean" } as const;
const specOf = (rule: RunSpec["training"]["rule"]): RunSpec => ({
  format: "weft-run/1",
  name: "large",
  description: "Closes a round",
  license: "Apache-2.0",
  seed: 3,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 1,
    samplesPerVersion: 64,
    microBatch: 1,
    rule,
    optimizer: { kind: "sgd", learningRate: 0.01, momentum: 0, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 1_000, deadlineMs: 600_000, maxStaleness: 0 },
  evaluation: { everyVersions: 1, samples: 1 },
  checkpoints: { everyVersions: 1 },
});

async function roomsOf(parameters: number, count: number, rule: RunSpec["training"]["rule"] = MEAN, isFast = true): Promise<Set<Room>> {
  const { blobs, contributions } = memoryStorage();
  const weights = await blobs.put(f32ToBytes(new Float32Array(parameters)));
  const taken = [];
  for (let lease = 1; lease <= count; lease++) {
    const bytes = f32ToBytes(new Float32Array(parameters).fill(lease));
    const { sha256 } = await blobs.put(bytes);
    await contributions.put("large", sha256, bytes);
    taken.push({ sha256, samples: 1, codec: "f32", lossMean: 1 });
  }
  const rooms = new Set<Room>();
  const get = contributions.get.bind(contributions);
  contributions.get = (run, sha256, room = "own") => {
    rooms.add(room);
    return get(run, sha256, room);
  };
  const round = { weights, steps: 0, optimizer: null, learningRate: 0.01, contributions: taken };
  await closeFromBlobs({ blobs, contributions }, "large", specOf(rule), parameters, round, isFast ? aggregationRule(MEAN) : undefined);
  return rooms;
}

it("is shared where a few large ones go into a mean that threads divide among them, else the closing thread's own", async () => {
  const large = 2 ** 19;
  expect(await roomsOf(large, 8)).toEqual(new Set(["shared"]));
  expect(await roomsOf(large, 9)).toEqual(new Set(["own"]));
  expect(await roomsOf(large - 1, 8)).toEqual(new Set(["own"]));
  expect(await roomsOf(large, 8, { kind: "median" })).toEqual(new Set(["own"]));
  expect(await roomsOf(large, 8, MEAN, false)).toEqual(new Set(["own"]));
});
