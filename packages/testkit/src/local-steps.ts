// Local steps for engines that have gradients alone: each step in plain JavaScript, with the optimiser that the coordinator has. The same bits
// wherever the gradients are. Knows no device.
import { type Batch, clipNorm, type LocalSteps, type LocalStepsResult, type StepBatches, samplesIn } from "@weft/tensors";
import { outerOptimizer } from "@weft/training";
import type { VolunteerEngine } from "@weft/volunteer";

/** Optimiser state is not kept from one lease to the next. */
export function withLocalSteps(engine: Omit<VolunteerEngine, "localSteps">): VolunteerEngine {
  let base: Float32Array | null = null;
  const meanGradient = async (
    batches: readonly Batch[],
    size: number,
  ): Promise<{ readonly mean: Float32Array; readonly lossSum: number }> => {
    const mean = new Float32Array(size);
    let lossSum = 0;
    for (const batch of batches) {
      const result = await engine.step(batch);
      lossSum += result.lossSum;
      for (let at = 0; at < size; at += 1) mean[at] = (mean[at] as number) + (result.gradientSum[at] as number);
    }
    const samples = samplesIn(batches);
    return { mean: mean.map((value) => value / samples), lossSum };
  };
  const take = async (from: Float32Array, work: LocalSteps, batchesOf: StepBatches): Promise<LocalStepsResult | null> => {
    const optimizer = outerOptimizer({ ...work.optimizer, learningRate: work.learningRate }, from.length, null);
    if (!optimizer.ok) throw new Error(optimizer.message);
    const weights = from.slice();
    let lossSum = 0;
    let samples = 0;
    for (let step = 0; step < work.steps; step += 1) {
      const batches = await batchesOf(step);
      if (batches === null) return null;
      const gradient = await meanGradient(batches, from.length);
      clipNorm(gradient.mean, work.clipNorm);
      optimizer.value.step(weights, gradient.mean, work.learningRate);
      await engine.setWeights(weights.slice());
      lossSum += gradient.lossSum;
      samples += samplesIn(batches);
    }
    return { update: from.map((value, at) => value - (weights[at] as number)), lossSum, samples };
  };
  return {
    get device() {
      return engine.device;
    },
    selfTest: () => engine.selfTest(),
    load: (model, microBatch) => engine.load(model, microBatch),
    async setWeights(flat) {
      await engine.setWeights(flat);
      base = flat;
    },
    step: (batch) => engine.step(batch),
    async localSteps(work, batches) {
      const from = base;
      if (from === null) throw new Error("localSteps before setWeights");
      try {
        return await take(from, work, batches);
      } finally {
        await engine.setWeights(from).catch(() => undefined);
      }
    },
    dispose: () => engine.dispose(),
  };
}
