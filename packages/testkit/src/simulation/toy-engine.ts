// A device whose gradients are arithmetic on positions and weights: the same for the same work, whoever does it, in microseconds, and as
// slow as it is meant to be. Knows no volunteer.
import { layoutFor } from "@weft/models";
import type { DeviceInfo } from "@weft/protocol";
import type { Clock, VolunteerData, VolunteerEngine } from "@weft/volunteer";
import { withLocalSteps } from "../local-steps.ts";

export type DeviceKind = "webgpu" | "wasm";

/** Rows carry their positions in the sample stream; no shard is fetched. */
export const toyData: VolunteerData = {
  batch: ({ assignment }, from, to, rows) =>
    Promise.resolve({
      rows,
      inputs: Float32Array.from({ length: rows }, (_, row) => assignment.start + from + row),
      targets: new Int32Array(0),
      weights: Float32Array.from({ length: rows }, (_, row) => (row < to - from ? 1 : 0)),
    }),
};

/** Gradient and loss of one sample; small, and different at each position. */
export function addToyGradient(sum: Float32Array, weights: Float32Array, position: number): number {
  for (let at = 0; at < sum.length; at += 1) {
    const noise = (Math.imul(position + 1, 0x9e37_79b1) ^ Math.imul(at + 7, 0x85eb_ca6b)) % 1_000;
    sum[at] = (sum[at] as number) + Math.fround(noise / 4_096 + 0.125 * (weights[at] as number));
  }
  return 1 + (position % 7);
}

export function toyEngine(kind: DeviceKind, samplesPerSecond: number, clock: Clock, isLost: () => boolean): VolunteerEngine {
  const device: DeviceInfo = { backend: kind, description: `toy ${kind}`, software: false };
  let weights: Float32Array = new Float32Array(0);
  let size = 0;
  const guard = (): void => {
    if (isLost()) throw new Error("the device was lost");
  };
  return withLocalSteps({
    device,
    selfTest: () => Promise.resolve({ passed: true, relativeError: 0, detail: "" }),
    load: async (model) => {
      guard();
      size = layoutFor(model).size;
    },
    setWeights: async (flat) => {
      guard();
      if (flat.length !== size) throw new Error(`the model has ${size} parameters, the weights ${flat.length}`);
      weights = flat;
    },
    step: async (batch) => {
      guard();
      const rows = batch.weights.reduce((sum, weight) => sum + weight, 0);
      await clock.sleep((1000 * rows) / samplesPerSecond);
      guard();
      const gradientSum = new Float32Array(size);
      let lossSum = 0;
      for (let row = 0; row < rows; row += 1) lossSum += addToyGradient(gradientSum, weights, batch.inputs[row] as number);
      return { lossSum, gradientSum };
    },
    dispose: () => undefined,
  });
}
