// The recurrence of an LSTM and its gradient on a device against f64: each place of a window within the bound of its own rounding, and
// long windows as a whole. One suite for all backends.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LstmStates, lstm, lstmGradient } from "./lstm-reference.ts";
import { worstOf } from "./rounding.ts";
import type { Subject } from "./subject.ts";

export function describeLstm(title: string, open: () => Promise<Subject>): void {
  describe(title, { timeout: 90_000 }, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    async function compute(windows: number, length: number, hidden: number) {
      const stream = randomStream(windows * 10_000 + length * 100 + hidden, 0);
      const normals = (count: number, scale: number) => Float32Array.from({ length: count }, () => scale * stream.normal());
      const tokens = windows * length;
      const given = { windows, length, hidden, recurrent: normals(4 * hidden * hidden, 1 / Math.sqrt(hidden)) };
      // Some gates far beyond where they saturate.
      const projected = normals(4 * tokens * hidden, 1.5).map((value, index) => (index % 7 === 3 ? 60 * value : value));
      const dy = normals(tokens * hidden, 1);
      const recurrent = tf.tensor2d(given.recurrent, [4 * hidden, hidden]);
      const run = (name: string, inputs: tf.NamedTensorMap): tf.Tensor[] =>
        tf.engine().runKernel(name, inputs, { length }) as unknown as tf.Tensor[];
      const states = run("WeftLstm", { projected: tf.tensor2d(projected, [tokens, 4 * hidden]), recurrent }) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      expect(states.map(({ shape }) => shape[1])).toEqual([hidden, hidden, hidden, 4 * hidden]);
      const [, , cells, gates] = states;
      const gradients = run("WeftLstmGradient", { dy: tf.tensor2d(dy, [tokens, hidden]), cells, gates, recurrent });
      expect(gradients.map(({ shape }) => shape)).toEqual([[tokens, 4 * hidden]]);
      const read: Float32Array[] = [];
      for (const tensor of [...states, ...gradients]) read.push(await subject.read([tensor]));
      tf.dispose([...states, ...gradients, recurrent]);
      const [y, previous, c, g, dProjected] = read as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
      return { given, projected, dy, states: { y, previous, cells: c, gates: g } satisfies LstmStates<Float32Array>, dProjected };
    }

    async function check(windows: number, length: number, hidden: number): Promise<void> {
      const { given, projected, dy, states, dProjected } = await compute(windows, length, hidden);
      const name = `${windows}x${length} of ${hidden}`;
      const expected = lstm(given, projected, states);
      for (const part of ["gates", "cells", "y", "previous"] as const)
        expect(worstOf(states[part], expected[part]), `${name} ${part}`).toBeLessThan(1);
      expect(worstOf(dProjected, lstmGradient(given, dy, states, dProjected)), `${name} gradient`).toBeLessThan(1);
    }

    it("each place of a window is right within the rounding of its own arithmetic", async () => {
      for (const [windows, length, hidden] of [
        [1, 1, 1],
        [1, 2, 7],
        [2, 3, 5],
        [3, 2, 8],
        [9, 4, 33],
        [17, 3, 64],
        [8, 2, 256],
      ] as const)
        await check(windows, length, hidden);
      const small = fc.integer({ min: 1, max: 11 });
      await fc.assert(fc.asyncProperty(small, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 70 }), check), { numRuns: 10 });
    });

    it("eighty places agree with f64 as a whole to 1e-5", async () => {
      const { given, projected, dy, states, dProjected } = await compute(2, 80, 16);
      const expected = lstm(given, projected);
      const gradient = lstmGradient(given, dy, { cells: expected.cells.values, gates: expected.gates.values }).values;
      const distance = (actual: Float32Array, values: Float64Array): number =>
        Math.hypot(...values.map((value, index) => value - (actual[index] as number))) / Math.hypot(...values);
      expect(distance(states.y, expected.y.values)).toBeLessThan(1e-5);
      expect(distance(dProjected, gradient)).toBeLessThan(1e-5);
    });

    it("windows do not look into each other", async () => {
      const [length, hidden] = [4, 3];
      const stream = randomStream(3, 0);
      const values = Float32Array.from({ length: 2 * length * 4 * hidden }, () => stream.normal());
      const recurrent = tf.tensor2d(
        Float32Array.from({ length: 4 * hidden * hidden }, () => stream.normal()),
        [4 * hidden, hidden],
      );
      const second = async (from: number, rows: number): Promise<Float32Array> => {
        const projected = tf.tensor2d(values.slice(from * 4 * hidden), [rows, 4 * hidden]);
        const [y] = tf.engine().runKernel("WeftLstm", { projected, recurrent }, { length }) as unknown as [tf.Tensor];
        return (await subject.read([y])).slice(-length * hidden);
      };
      expect(await second(0, 2 * length)).toEqual(await second(length, length));
    });
  });
}
