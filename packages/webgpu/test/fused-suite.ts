// Every fused kernel and its gradient against f64 on the CPU: odd, tiny and large shapes, drawn ones too. One suite for all backends.
import * as tf from "@tensorflow/tfjs-core";
import { type RandomStream, randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as reference from "./references.ts";
import type { Subject } from "./subject.ts";

/** Unit roundoff of f32. */
const UNIT = 2 ** -24;
/** What WGSL grants to one exponential of an argument within 25, to roots and to quotients, with room for a handful of operations. */
const FUNCTIONS = 64;

/** `rowsAlone`: those alone that sum over the values of a row. */
export function describeFusedKernels(title: string, open: () => Promise<Subject>, rowsAlone = false): void {
  describe(title, { timeout: 90_000 }, () => {
    let subject: Subject;
    let stream: RandomStream;
    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    const seed = (value: number): void => {
      stream = randomStream(value, 0);
    };
    const normals = (length: number): Float32Array => Float32Array.from({ length }, () => stream.normal());
    const wholes = (length: number, below: number): Int32Array => Int32Array.from({ length }, () => Math.floor(stream.uniform() * below));
    const tensor = (values: Float32Array | Int32Array, ...shape: number[]): tf.Tensor =>
      tf.tensor(values, shape, values instanceof Int32Array ? "int32" : "float32");

    function run(name: string, inputs: Record<string, tf.Tensor>, attributes: Record<string, number | string | boolean>): tf.Tensor[] {
      return tf.engine().runKernel(name, inputs, attributes) as unknown as tf.Tensor[];
    }

    /** Largest error in units of its bound: (terms + FUNCTIONS) roundings of the largest value, `terms` summed one after another. */
    async function worst(actual: tf.Tensor, expected: ArrayLike<number>, terms: number, scale?: number): Promise<number> {
      const values = await subject.read([actual]);
      expect(values).toHaveLength(expected.length);
      let [error, largest] = [0, scale ?? 0];
      for (let index = 0; index < values.length; index++) {
        const away = Math.abs((values[index] as number) - (expected[index] as number));
        error = Number.isNaN(away) ? Number.POSITIVE_INFINITY : Math.max(error, away);
        largest = Math.max(largest, Math.abs(expected[index] as number));
      }
      return error / ((terms + FUNCTIONS) * UNIT * largest);
    }

    async function checkLayerNorm(rows: number, width: number, hasBias: boolean): Promise<void> {
      seed(rows * 1000 + width);
      const [x, gain, bias, dy] = [normals(rows * width), normals(width), normals(width), normals(rows * width)];
      const given = { rows, width, x, gain, ...(hasBias ? { bias } : {}) };
      const tensors = { x: tensor(x, rows, width), gain: tensor(gain, width) };
      const forward = { ...tensors, ...(hasBias ? { bias: tensor(bias, width) } : {}) };
      const [y, statistics] = run("WeftLayerNorm", forward, { epsilon: 1e-5 }) as [tf.Tensor, tf.Tensor];
      const backward = { ...tensors, dy: tensor(dy, rows, width), statistics };
      const gradients = run("WeftLayerNormGradient", backward, { hasBias });
      const { dx, dGain, dBias } = reference.layerNormGradient(given, dy);
      const name = `${rows}x${width}`;
      // A row that hardly varies is divided by little: errors of x then weigh as much as the row's inverse deviation.
      const steep = Math.max(1, ...(await subject.read([statistics])).filter((_, index) => index % 2 === 1));
      expect(await worst(y, reference.layerNorm(given), width, steep), name).toBeLessThan(1);
      expect(gradients).toHaveLength(hasBias ? 3 : 2);
      expect(await worst(gradients[0] as tf.Tensor, dx, width, steep * steep), `${name} dx`).toBeLessThan(1);
      expect(await worst(gradients[1] as tf.Tensor, dGain, rows + width, steep), `${name} dGain`).toBeLessThan(1);
      if (hasBias) expect(await worst(gradients[2] as tf.Tensor, dBias, rows), `${name} dBias`).toBeLessThan(1);
    }
    it.each([false, true])("layer norm, bias: %s", async (hasBias) => {
      for (const [rows, width] of [
        [1, 4],
        [3, 5],
        [7, 64],
        [65, 63],
        [2, 1024],
        [300, 130],
      ] as const)
        await checkLayerNorm(rows, width, hasBias);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 4, max: 200 }), (rows, width) =>
          checkLayerNorm(rows, width, hasBias),
        ),
        { numRuns: 8 },
      );
    });

    async function checkCrossEntropy(samples: number, predictions: number, classes: number): Promise<void> {
      seed(samples * 100 + classes);
      const rows = samples * predictions;
      const logits = normals(rows * classes).map((value) => 4 * value);
      const given = {
        rows,
        classes,
        predictions,
        logits,
        targets: wholes(rows, classes),
        weights: Float32Array.from({ length: samples }, (_, i) => (i % 3 === 2 ? 0 : 1)),
      };
      const tensors = {
        logits: tensor(logits, rows, classes),
        targets: tensor(given.targets, rows),
        weights: tensor(given.weights, samples),
      };
      const [loss, logSums] = run("WeftCrossEntropy", tensors, { predictions }) as [tf.Tensor, tf.Tensor];
      expect(loss.shape).toEqual([]);
      const [gradient] = run("WeftCrossEntropyGradient", { ...tensors, logSums, dy: tf.scalar(0.75) }, { predictions }) as [tf.Tensor];
      const name = `${samples}x${predictions}x${classes}`;
      expect(await worst(loss, [reference.crossEntropy(given)], rows + classes), name).toBeLessThan(1);
      expect(await worst(gradient, reference.crossEntropyGradient(given, 0.75), classes), `${name} gradient`).toBeLessThan(1);
    }
    it("cross-entropy on integer targets", async () => {
      for (const [samples, predictions, classes] of [
        [1, 1, 2],
        [3, 5, 7],
        [4, 64, 81],
        [2, 3, 5003],
        [300, 1, 10],
        [65, 1, 700],
      ] as const)
        await checkCrossEntropy(samples, predictions, classes);
      const small = fc.integer({ min: 1, max: 20 });
      await fc.assert(fc.asyncProperty(small, small, fc.integer({ min: 2, max: 150 }), checkCrossEntropy), { numRuns: 10 });
    });

    it("cross-entropy of logits so far apart that their exponentials overflow", async () => {
      const [loss] = run(
        "WeftCrossEntropy",
        {
          logits: tensor(Float32Array.of(500, -500, 0), 1, 3),
          targets: tensor(Int32Array.of(1), 1),
          weights: tensor(Float32Array.of(1), 1),
        },
        { predictions: 1 },
      ) as [tf.Tensor];
      expect((await subject.read([loss]))[0]).toBeCloseTo(1000, 2);
    });

    if (rowsAlone) return;

    it.each(["exact", "tanh"] as const)("GELU, %s", async (kind) => {
      for (const size of [1, 63, 1000, 70_000]) {
        seed(size);
        // Tails too, where tanh and erf are 1 and exponentials vanish.
        const x = normals(size).map((value, index) => value * (index % 3 === 0 ? 30 : 2));
        const dy = normals(size);
        const [y] = run("WeftGelu", { x: tensor(x, size) }, { kind }) as [tf.Tensor];
        const [dx] = run("WeftGeluGradient", { x: tensor(x, size), dy: tensor(dy, size) }, { kind }) as [tf.Tensor];
        expect(await worst(y, reference.gelu(x, kind), 0, 1), `${size}`).toBeLessThan(1);
        expect(await worst(dx, reference.geluGradient(x, kind, dy), 0, 1), `${size} dx`).toBeLessThan(1);
      }
    });

    async function checkEmbedding(windows: number, length: number, context: number, symbols: number, width: number): Promise<void> {
      seed(windows * 100 + width);
      const count = windows * length;
      const given = { windows, length, context, symbols, width, tokens: wholes(count, symbols) };
      const [table, positions, dy] = [normals(symbols * width), normals(context * width), normals(count * width)];
      const tokens = tensor(given.tokens, count);
      const [y] = run(
        "WeftEmbedding",
        { tokens, table: tensor(table, symbols, width), positions: tensor(positions, context, width) },
        { length },
      ) as [tf.Tensor];
      const [dTable, dPositions] = run("WeftEmbeddingGradient", { dy: tensor(dy, count, width), tokens }, { symbols, context, length }) as [
        tf.Tensor,
        tf.Tensor,
      ];
      const expected = reference.embeddingGradient(given, dy);
      const name = `${windows}x${length}/${context} ${symbols}x${width}`;
      expect(await worst(y, reference.embedding(given, table, positions), 1), name).toBeLessThan(1);
      const [rows] = run("WeftRows", { tokens, table: tensor(table, symbols, width) }, {}) as [tf.Tensor];
      const [ofRows] = run("WeftRowsGradient", { dy: tensor(dy, count, width), tokens }, { symbols }) as [tf.Tensor];
      expect([rows.shape, ofRows.shape]).toEqual([y.shape, dTable.shape]);
      expect(
        await worst(
          rows,
          reference.embedding(
            given,
            table,
            positions.map(() => 0),
          ),
          0,
        ),
        `${name} rows`,
      ).toBeLessThan(1);
      expect(await worst(ofRows, expected.dTable, count), `${name} gradient of rows`).toBeLessThan(1);
      expect(await worst(dTable, expected.dTable, count), `${name} table`).toBeLessThan(1);
      expect(await worst(dPositions, expected.dPositions, windows), `${name} positions`).toBeLessThan(1);
    }
    it("embedding, windows shorter than the context and symbols that never occur included", async () => {
      for (const [windows, length, context, symbols, width] of [
        [1, 1, 2, 2, 4],
        [2, 3, 5, 7, 5],
        [4, 64, 64, 81, 64],
        [3, 10, 16, 2000, 130],
      ] as const)
        await checkEmbedding(windows, length, context, symbols, width);
      const small = fc.integer({ min: 1, max: 12 });
      await fc.assert(
        fc.asyncProperty(
          small,
          small,
          small,
          fc.integer({ min: 2, max: 60 }),
          fc.integer({ min: 1, max: 90 }),
          (windows, length, more, symbols, width) => checkEmbedding(windows, length, length + more - 1, symbols, width),
        ),
        { numRuns: 8 },
      );
    });

    async function checkAttention(windows: number, length: number, heads: number, depth: number): Promise<void> {
      seed(windows * 1000 + length * 10 + depth);
      const [tokens, width] = [windows * length, heads * depth];
      const given = { windows, length, heads, depth, qkv: normals(tokens * 3 * width) };
      const dy = normals(tokens * width);
      const qkv = tensor(given.qkv, tokens, 3 * width);
      const [y, logSums] = run("WeftAttention", { qkv }, { heads, length }) as [tf.Tensor, tf.Tensor];
      const [gradient] = run("WeftAttentionGradient", { dy: tensor(dy, tokens, width), y, qkv, logSums }, { heads, length }) as [tf.Tensor];
      const name = `${windows}x${length} ${heads}x${depth}`;
      const terms = 4 * (length + depth);
      expect(await worst(y, reference.attention(given), terms), name).toBeLessThan(1);
      expect(await worst(gradient, reference.attentionGradient(given, dy), terms), `${name} gradient`).toBeLessThan(1);
    }
    it("causal attention, heads of every kind of depth", async () => {
      for (const [windows, length, heads, depth] of [
        [1, 1, 1, 1],
        [2, 6, 4, 2],
        [3, 5, 2, 3],
        [4, 64, 4, 16],
        [1, 65, 1, 32],
        [1, 130, 2, 8],
      ] as const)
        await checkAttention(windows, length, heads, depth);
      const small = fc.integer({ min: 1, max: 3 });
      await fc.assert(fc.asyncProperty(small, fc.integer({ min: 1, max: 80 }), small, fc.constantFrom(1, 2, 4, 6), checkAttention), {
        numRuns: 8,
      });
    });

    it("attention lets no token see a later one", async () => {
      const [length, heads, depth] = [7, 2, 4];
      seed(3);
      const values = normals(length * 3 * heads * depth);
      const changed = values.map((value, index) => (index < (length - 1) * 3 * heads * depth ? value : value + 1));
      const outputs = [];
      for (const each of [values, changed])
        outputs.push(
          await subject.read([run("WeftAttention", { qkv: tensor(each, length, 3 * heads * depth) }, { heads, length })[0] as tf.Tensor]),
        );
      const last = (length - 1) * heads * depth;
      expect(outputs[0]?.slice(0, last)).toEqual(outputs[1]?.slice(0, last));
      expect(outputs[0]?.slice(last)).not.toEqual(outputs[1]?.slice(last));
    });
  });
}
