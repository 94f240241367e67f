// The dense layer on WebGPU: the suite that all backends share, shapes left to TensorFlow.js, and counts of dispatches.
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { describeLinear } from "../../test/linear-suite.ts";
import { openWebGpuSubject } from "../../test/webgpu-subject.ts";
import { restoreKernel, strikeKernel } from "../index.ts";
import { MATMUL } from "./matmul.ts";

describeLinear(
  "the dense layer on WebGPU",
  () => openWebGpuSubject(),
  (check) => {
    it("goes on by TensorFlow.js's product where ours is struck, or too long for so few rows", async () => {
      strikeKernel(MATMUL);
      try {
        for (const activation of ["none", "relu", "gelu-tanh"] as const)
          await check({ rows: 10, inputs: 12, outputs: 16, outIn: true, hasBias: true, activation, inputIsData: false });
      } finally {
        restoreKernel(MATMUL);
      }
      await check({ rows: 9, inputs: 300, outputs: 10, outIn: true, hasBias: true, activation: "relu", inputIsData: true });
      await check({ rows: 9, inputs: 300, outputs: 10, outIn: true, hasBias: true, activation: "gelu-exact", inputIsData: false });
    });

    it("is one dispatch forward; backward one a product, and one for bias and activation together", async () => {
      const dispatches = (run: () => void): number => {
        let count = 0;
        const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
        GPUComputePassEncoder.prototype.dispatchWorkgroups = function (this: GPUComputePassEncoder, ...workgroups) {
          count++;
          dispatchWorkgroups.apply(this, workgroups);
        };
        try {
          run();
        } finally {
          GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
        }
        return count;
      };
      const [x, weight, bias] = [tf.ones([64, 32]), tf.ones([48, 32]), tf.ones([48])];
      const attributes = { outIn: true, activation: "gelu-tanh" };
      let results: tf.Tensor[] = [];
      expect(
        dispatches(() => (results = tf.engine().runKernel("WeftLinear", { x, weight, bias }, attributes) as unknown as tf.Tensor[])),
      ).toBe(1);
      const [y, seen] = results as [tf.Tensor, tf.Tensor];
      const gradient = () =>
        tf.engine().runKernel("WeftLinearGradient", { dy: y, x, weight, seen }, { ...attributes, hasBias: true, inputIsData: false });
      expect(dispatches(gradient)).toBe(3);
    });
  },
);
