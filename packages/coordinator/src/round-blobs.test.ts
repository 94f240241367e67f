// In whose memory a round asks for its contributions.
import type { RunSpec } from "@weft/protocol";
import { memoryStorage, type Room } from "@weft/storage";
import { f32ToBytes } from "@weft/tensors";
import { TINY_SPEC } from "@weft/testkit";
import { aggregationRule } from "@weft/training";
import { expect, it } from "vitest";
import { closeFromBlobs } from "./round-blobs.ts";

const MEAN = { kind: "mean" } as const;
type Rule = RunSpec["training"]["rule"];

async function roomsOf(parameters: number, count: number, rule: Rule = MEAN, isFast = true): Promise<Set<Room>> {
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
  const spec = { ...TINY_SPEC, training: { ...TINY_SPEC.training, rule } };
  await closeFromBlobs({ blobs, contributions }, "large", spec, parameters, round, isFast ? aggregationRule(MEAN) : undefined);
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
