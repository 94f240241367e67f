// Names, shapes, seeded weights and words for the models; TensorFlow.js is not loaded.
import type { ModelSpec } from "@weft/protocol";
import { randomStream, viewOf } from "@weft/tensors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SMALL_MODELS } from "../test/cases.ts";
import { reference } from "../test/reference-models.ts";
import { describeModel, initialWeights, layoutFor, parameterCount, probeBatch, probeWeights, sampleToken, scoreLogits } from "./index.ts";

const DIGITS: ModelSpec = { kind: "mlp", inputs: 64, hidden: [32], classes: 10 };
const GPT = { kind: "gpt", vocabulary: 90, context: 64, layers: 2, heads: 4, width: 64, bias: false, gelu: "exact" } as const;
const LSTM = { kind: "lstm", vocabulary: 90, context: 80, embedding: 8, layers: 2, hidden: 256 } as const;
const named = (model: ModelSpec) => layoutFor(model).parameters.map(({ name, shape }) => `${name} ${shape.join("x")}`);

describe("the layout of a model", () => {
  it("is PyTorch's for an mlp", () => {
    expect(named(DIGITS)).toEqual(["fc1.weight 32x64", "fc1.bias 32", "fc2.weight 10x32", "fc2.bias 10"]);
  });
  it("is PyTorch's for a cnn, the dense layer as wide as the pooled images", () => {
    expect(named(SMALL_MODELS.cnn)).toEqual([
      "conv1.weight 3x2x3x3",
      "conv1.bias 3",
      "conv2.weight 5x3x3x3",
      "conv2.bias 5",
      "fc1.weight 6x10",
      "fc1.bias 6",
      "fc2.weight 4x6",
      "fc2.bias 4",
    ]);
  });
  it("is GPT-2's in Transformers for a gpt, without a head of its own and with biases only where asked", () => {
    expect(named({ ...GPT, layers: 1 })).toEqual([
      "transformer.wte.weight 90x64",
      "transformer.wpe.weight 64x64",
      "transformer.h.0.ln_1.weight 64",
      "transformer.h.0.attn.c_attn.weight 64x192",
      "transformer.h.0.attn.c_proj.weight 64x64",
      "transformer.h.0.ln_2.weight 64",
      "transformer.h.0.mlp.c_fc.weight 64x256",
      "transformer.h.0.mlp.c_proj.weight 256x64",
      "transformer.ln_f.weight 64",
    ]);
    const biases = named({ ...GPT, layers: 1, bias: true }).filter((entry) => entry.includes(".bias"));
    expect(biases.map((entry) => entry.replace("transformer.", ""))).toEqual([
      "h.0.ln_1.bias 64",
      "h.0.attn.c_attn.bias 192",
      "h.0.attn.c_proj.bias 64",
      "h.0.ln_2.bias 64",
      "h.0.mlp.c_fc.bias 256",
      "h.0.mlp.c_proj.bias 64",
      "ln_f.bias 64",
    ]);
  });
  it("is that of an embedding, an LSTM and a dense layer of PyTorch for an lstm", () => {
    expect(named(SMALL_MODELS.lstm)).toEqual([
      "embedding.weight 11x3",
      "lstm.weight_ih_l0 20x3",
      "lstm.weight_hh_l0 20x5",
      "lstm.bias_ih_l0 20",
      "lstm.bias_hh_l0 20",
      "lstm.weight_ih_l1 20x5",
      "lstm.weight_hh_l1 20x5",
      "lstm.bias_ih_l1 20",
      "lstm.bias_hh_l1 20",
      "fc.weight 11x5",
      "fc.bias 11",
    ]);
  });
  it("counts what the papers count: MNIST's 2NN and CNN, Shakespeare's LSTM over 90 symbols, the GPT of the reference figures", () => {
    expect(parameterCount({ kind: "mlp", inputs: 784, hidden: [200, 200], classes: 10 })).toBe(199_210);
    expect(
      parameterCount({ kind: "cnn", height: 28, width: 28, inChannels: 1, channels: [32, 64], kernel: 5, hidden: 512, classes: 10 }),
    ).toBe(1_663_370);
    expect(parameterCount(LSTM)).toBe(822_570);
    expect(parameterCount({ ...GPT, vocabulary: 65, layers: 4, width: 128 })).toBe(804_096);
  });
  it("is contiguous, and refuses what cannot be built", () => {
    for (const model of Object.values(SMALL_MODELS)) {
      const { parameters, size } = layoutFor(model);
      let end = 0;
      for (const { offset, size: length } of parameters) {
        expect(offset).toBe(end);
        end += length;
      }
      expect(end).toBe(size);
    }
    expect(() => layoutFor({ ...GPT, heads: 5 })).toThrow(/5 heads/);
    expect(() => layoutFor({ ...SMALL_MODELS.cnn, channels: [1, 1, 1, 1] })).toThrow(/poolings/);
  });
});

describe("initial weights", () => {
  const bits = (flat: Float32Array) =>
    [...new Uint32Array(flat.buffer)].reduce((hash, word) => Math.imul(hash ^ word, 16_777_619) >>> 0, 2_166_136_261);
  it("are these bits, on every machine", () => {
    expect([DIGITS, SMALL_MODELS.cnn, GPT, SMALL_MODELS.lstm].map((model) => bits(initialWeights(model, 7)).toString(16))).toEqual([
      "7aa31908",
      "c6c36097",
      "e0f7489b",
      "89716d9b",
    ]);
  });
  it("differ by seed and repeat by seed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seed) => {
        expect(initialWeights(SMALL_MODELS.mlp, seed)).toEqual(initialWeights(SMALL_MODELS.mlp, seed));
        expect(initialWeights(SMALL_MODELS.mlp, seed)).not.toEqual(initialWeights(SMALL_MODELS.mlp, (seed ^ 1) >>> 0));
      }),
      { numRuns: 20 },
    );
  });
  it("have the spread that each layer should have", () => {
    const deviation = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    const spread = (model: ModelSpec) => {
      const flat = initialWeights(model, 3);
      return new Map(layoutFor(model).parameters.map((info) => [info.name, deviation(viewOf(flat, info))]));
    };
    const gpt = spread(GPT);
    expect(gpt.get("transformer.wte.weight")).toBeCloseTo(0.02, 3);
    expect(gpt.get("transformer.h.1.attn.c_attn.weight")).toBeCloseTo(0.02, 3);
    expect(gpt.get("transformer.h.1.mlp.c_proj.weight")).toBeCloseTo(0.01, 3);
    expect(gpt.get("transformer.ln_f.weight")).toBe(1);
    const mlp = spread(DIGITS);
    expect(mlp.get("fc1.weight")).toBeCloseTo(Math.sqrt(2 / 64), 2);
    expect(mlp.get("fc2.weight")).toBeCloseTo(Math.sqrt(1 / 32 / 3), 1);
    expect(mlp.get("fc1.bias")).toBe(0);
    const lstm = spread(LSTM);
    expect(lstm.get("embedding.weight")).toBeCloseTo(1, 1);
    for (const name of ["lstm.weight_ih_l1", "lstm.weight_hh_l0", "lstm.bias_hh_l1", "fc.weight"])
      expect(lstm.get(name)).toBeCloseTo(1 / 16 / Math.sqrt(3), 2);
  });
});

describe("scoring logits", () => {
  for (const [name, model] of Object.entries(SMALL_MODELS))
    it(`${name}: the loss is that of the f64 reference and rows without weight count for nothing`, () => {
      const batch = probeBatch(model, 4, 4, 1);
      const whole = reference(model, probeWeights(model, 2), batch);
      const partly = { ...batch, weights: Float32Array.of(1, 0, 1, 0) };
      const expected = reference(model, probeWeights(model, 2), partly);
      const scored = scoreLogits(model, Float32Array.from(whole.logits), partly);
      expect(scored.lossSum).toBeCloseTo(expected.lossSum, 5);
      expect(scored.predictions).toBe(batch.targets.length / 2);
    });
  it("refuses logits of another length", () => {
    expect(() => scoreLogits(DIGITS, new Float32Array(3), probeBatch(DIGITS, 1, 1, 1))).toThrow(/3 logits/);
  });
});

describe("choosing a token", () => {
  const logits = Float32Array.of(0, 2, 1, -1);
  it("takes the likeliest at temperature 0 and with top 1", () => {
    expect(sampleToken(logits, { temperature: 0 }, 0.99)).toBe(1);
    expect(sampleToken(logits, { temperature: 5, topK: 1 }, 0.99)).toBe(1);
  });
  it("draws each token as often as its softmax says", () => {
    const stream = randomStream(1, 0);
    const counts = [0, 0, 0, 0];
    for (let draw = 0; draw < 20_000; draw++) {
      const token = sampleToken(logits, { temperature: 1 }, stream.uniform());
      counts[token] = (counts[token] as number) + 1;
    }
    const total = [...logits].reduce((sum, value) => sum + Math.exp(value), 0);
    for (const [token, count] of counts.entries()) expect(count / 20_000).toBeCloseTo(Math.exp(logits[token] as number) / total, 1);
  });
});

describe("describing a model", () => {
  it("says kind, sizes and parameters in one line", () => {
    expect(describeModel(DIGITS)).toBe("MLP 64-32-10, 2,410 parameters");
    expect(describeModel({ ...GPT, vocabulary: 65, layers: 4, width: 128 })).toBe(
      "GPT of 4 layers, 4 heads, width 128, context 64, 65 symbols, 804,096 parameters",
    );
    expect(describeModel(LSTM)).toBe("LSTM of 2 layers, width 256, embedding 8, context 80, 90 symbols, 822,570 parameters");
    expect(describeModel(SMALL_MODELS.cnn)).toContain("CNN 9x7x2: conv 3, conv 5 (3x3), dense 6, 4 classes");
  });
});
