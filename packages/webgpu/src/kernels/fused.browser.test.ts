// The fused kernels on WebGPU, by the suite that all backends share; those that sum over rows with subgroups, where the device has them, and
// without.
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeFusedKernels } from "../../test/fused-suite.ts";
import type { Subject } from "../../test/subject.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";
import { restoreKernel, strikeKernel } from "../index.ts";
import { SUBGROUPS } from "../variants.ts";

describeFusedKernels("the fused kernels on WebGPU", () => openWebGpuSubject());
describeFusedKernels("the fused kernels on WebGPU without subgroups", () => openWebGpuSubject([SUBGROUPS]), true);

describe("sums within subgroups", () => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await openWebGpuSubject();
  });
  afterAll(() => subject.close());

  /** Names of the pipelines of a layer norm, and what it gives. */
  async function layerNorm(): Promise<{ readonly pipelines: readonly string[]; readonly y: Float32Array }> {
    const pipelines: string[] = [];
    const { setPipeline } = GPUComputePassEncoder.prototype;
    GPUComputePassEncoder.prototype.setPipeline = function (this: GPUComputePassEncoder, pipeline) {
      pipelines.push(pipeline.label);
      return setPipeline.call(this, pipeline);
    };
    try {
      const [x, gain] = [tf.reshape(tf.sin(tf.range(0, 3 * 130)), [3, 130]), tf.ones([130])];
      pipelines.length = 0;
      const [y] = tf.engine().runKernel("WeftLayerNorm", { x, gain }, { epsilon: 1e-5 }) as unknown as tf.Tensor[];
      return { pipelines, y: await subject.read([y as tf.Tensor]) };
    } finally {
      GPUComputePassEncoder.prototype.setPipeline = setPipeline;
    }
  }

  it("are used where the device has them, until they are struck: then the plain kernel gives the same", async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const there = adapter?.features.has("subgroups") === true && navigator.gpu.wgslLanguageFeatures.has("subgroup_id");
    const asItIs = await layerNorm();
    expect(asItIs.pipelines).toEqual([there ? "weft layerNorm false subgroups" : "weft layerNorm false"]);
    strikeKernel(SUBGROUPS);
    const plain = await layerNorm();
    restoreKernel(SUBGROUPS);
    expect(plain.pipelines).toEqual(["weft layerNorm false"]);
    // Values within 1.5: sums in another order differ by a few roundings.
    for (const [index, value] of plain.y.entries()) expect(Math.abs(value - (asItIs.y[index] as number))).toBeLessThan(64 * 2 ** -24);
  });
});
