import { describe, expect, it } from "vitest";
import type { RunSpec } from "./run-spec.ts";
import { parseRunSpec, specProblems } from "./run-spec-errors.ts";

const good: RunSpec = {
  format: "weft-run/1",
  name: "digits",
  description: "Reads a handwritten digit",
  license: "Apache-2.0",
  seed: 7,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 240,
    samplesPerVersion: 256,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.002, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 3000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 10, samples: 360 },
  checkpoints: { everyVersions: 60 },
};

/** `good` with the value at a path replaced, or removed where `value` is undefined. */
function withField(path: string, value: unknown): unknown {
  const copy = structuredClone(good) as unknown as Record<string, unknown>;
  const parts = path.split(".");
  const last = parts.pop() ?? "";
  let at = copy;
  for (const part of parts) at = at[part] as Record<string, unknown>;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

describe("a run specification", () => {
  it("that is right is accepted as it stands", () => {
    const parsed = parseRunSpec(good);
    expect(parsed).toEqual({ ok: true, value: good });
  });

  const wrong: readonly (readonly [string, unknown, string, RegExp])[] = [
    ["seed", -1, "seed", /at least 0/],
    ["seed", 1.5, "seed", /whole number|int/],
    ["seed", undefined, "seed", /number|int/],
    ["name", "", "name", /1 to 32/],
    ["name", "evil\u202Ename", "name", /1 to 32/],
    ["license", "a b", "license", /match/],
    ["dataset", "../etc", "dataset", /match/],
    ["model.hidden", [], "model.hidden", /at least 1/],
    ["model.kind", "transformer", "model.kind", /kinds|must be/],
    ["training.samplesPerVersion", 0, "training.samplesPerVersion", /at least 1/],
    ["training.samplesPerVersion", 1e12, "training.samplesPerVersion", /at most/],
    ["training.optimizer.learningRate", Number.NaN, "training.optimizer.learningRate", /number/],
    ["training.optimizer.learningRate", "0.1", "training.optimizer.learningRate", /number/],
    ["training.codec", "gzip", "training.codec", /"f32" or "f16" or "int8"/],
    ["training.microBatch", 512, "training.microBatch", /at most training.samplesPerVersion/],
    ["round.deadlineMs", 1000, "round.deadlineMs", /at least round.leaseMs/],
    ["round.maxStaleness", 3, "round.maxStaleness", /must be 0/],
    ["sampler", { kind: "random-window" }, "sampler.kind", /epoch/],
    ["surprise", 1, "surprise", /not a field/],
  ];
  for (const [path, value, field, rule] of wrong) {
    it(`with ${path} = ${JSON.stringify(value) ?? "nothing"} is refused by field, rule and a good value`, () => {
      const problems = specProblems(withField(path, value));
      const problem = problems.find((found) => found.field === field);
      expect(problem, JSON.stringify(problems)).toBeDefined();
      expect(problem?.rule).toMatch(rule);
      expect(problem?.good).not.toMatch(/^see docs/);
      const parsed = parseRunSpec(withField(path, value));
      expect(parsed.ok).toBe(false);
      if (!parsed.ok) expect(parsed.message).toContain("for example");
    });
  }

  it("of a model of text takes random windows alone, and lacks no field", () => {
    const lstm = { kind: "lstm", vocabulary: 90, context: 80, embedding: 8, layers: 2, hidden: 256 };
    const windows = { ...(withField("model", lstm) as object), sampler: { kind: "random-window" } };
    expect(parseRunSpec(windows).ok).toBe(true);
    expect(specProblems(withField("model", lstm)).map(({ field }) => field)).toEqual(["sampler.kind"]);
    const { embedding: _, ...partly } = lstm;
    expect(specProblems({ ...windows, model: partly })).toMatchObject([{ field: "model.embedding", good: "8" }]);
  });

  it("of no object at all is refused, not thrown at", () => {
    for (const value of [null, undefined, 3, "x", [], () => 0]) expect(parseRunSpec(value).ok).toBe(false);
  });
});
