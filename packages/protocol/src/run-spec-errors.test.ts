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
    ["training.schedule", { kind: "exponential", warmupVersions: 0 }, "training.schedule.kind", /known kinds/],
    ["training.schedule", { kind: "constant", by: "hours", warmupVersions: 0 }, "training.schedule.by", /known kinds/],
    ["training.schedule", { kind: "constant", by: "samples" }, "training.schedule.warmupSamples", /must be a number/],
    ["training.schedule", { kind: "constant", warmupSamples: 9 }, "training.schedule.warmupVersions", /must be a number/],
    [
      "training.schedule",
      { kind: "linear", by: "samples", warmupSamples: 0, finalFraction: 0 },
      "training.schedule.samples",
      /must be a number/,
    ],
    ["training.schedule", { kind: "cosine", warmupVersions: 0, finalFraction: 0, samples: 9 }, "training.schedule.samples", /not a field/],
    ["training.schedule", { kind: "step", warmupVersions: 0, milestones: [], factor: 0.5 }, "training.schedule.milestones", /at least 1/],
    ["training.schedule", { kind: "step", warmupVersions: 0, milestones: [4], factor: 2 }, "training.schedule.factor", /at most 1/],
    [
      "training.schedule",
      { kind: "step", warmupVersions: 0, milestones: [4, 4], factor: 0.5 },
      "training.schedule.milestones",
      /must rise/,
    ],
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

  it.each([
    { kind: "constant", warmupVersions: 0, by: "versions" },
    { kind: "constant", by: "samples", warmupSamples: 5_000 },
    { kind: "linear", by: "samples", warmupSamples: 0, samples: 50_000, finalFraction: 0 },
    { kind: "step", warmupVersions: 10, milestones: [100, 200], factor: 0.1 },
    { kind: "step", by: "samples", warmupSamples: 0, milestones: [25_000], factor: 0.1 },
  ])("with the schedule %j is a specification", (schedule) => {
    expect(parseRunSpec(withField("training.schedule", schedule))).toMatchObject({ ok: true, value: { training: { schedule } } });
  });

  it("of a model of text takes random windows alone, and lacks no field", () => {
    const lstm = { kind: "lstm", vocabulary: 90, context: 80, embedding: 8, layers: 2, hidden: 256 };
    const windows = { ...(withField("model", lstm) as object), sampler: { kind: "random-window" } };
    expect(parseRunSpec(windows).ok).toBe(true);
    expect(specProblems(withField("model", lstm)).map(({ field }) => field)).toEqual(["sampler.kind"]);
    const { embedding: _, ...partly } = lstm;
    expect(specProblems({ ...windows, model: partly })).toMatchObject([{ field: "model.embedding", good: "8" }]);
  });

  describe("of local steps", () => {
    const sgd = { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 };
    const fedavg = {
      ...good,
      training: {
        mode: "local-steps",
        versions: 100,
        batch: 10,
        microBatch: 10,
        work: { kind: "steps", steps: 60 },
        inner: { optimizer: { ...sgd, learningRate: 0.1 }, schedule: { kind: "constant", warmupVersions: 0 }, keepState: false },
        rounds: { kind: "all", leases: 10 },
        rule: { kind: "mean" },
        optimizer: sgd,
        codec: "auto",
      },
      round: { leaseMs: 3000, deadlineMs: 30_000, maxStaleness: 1 },
    } as const;
    const changed = (training: object, rest: object = {}) => ({ ...fedavg, ...rest, training: { ...fedavg.training, ...training } });
    const clients = { kind: "clients", clients: 100, perRound: 10, epochs: 5, partition: { kind: "label-shards", shardsPerClient: 2 } };
    const { work: _, ...visiting } = fedavg.training;

    it("is accepted in each kind of rounds, work and clients", () => {
      for (const spec of [
        fedavg,
        changed({ work: { kind: "timed", most: 1000 }, rounds: { kind: "quorum", leases: 8, share: 0.5 } }),
        changed({ rounds: { kind: "async", buffer: "auto" } }),
        changed({ rounds: { kind: "async", buffer: 3 } }),
        { ...fedavg, training: visiting, sampler: clients },
        { ...fedavg, training: { ...visiting, rounds: { kind: "async", buffer: "auto" } }, sampler: clients },
      ])
        expect(parseRunSpec(spec)).toMatchObject({ ok: true });
    });

    const nesterov = { kind: "nesterov", learningRate: 0.7, momentum: 0.9, weightDecay: 0 };
    const adamw = { kind: "adamw", learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 };
    const asynchronous = { kind: "async", buffer: "auto" };
    const wrong: readonly (readonly [string, unknown, string, RegExp])[] = [
      ["outer Nesterov, asynchronous", changed({ rounds: asynchronous, optimizer: nesterov }), "training.optimizer.momentum", /diverges/],
      [
        "outer momentum, asynchronous",
        changed({ rounds: asynchronous, optimizer: { ...sgd, momentum: 0.5 } }),
        "training.optimizer.momentum",
        /diverges/,
      ],
      ["outer AdamW, asynchronous", changed({ rounds: asynchronous, optimizer: adamw }), "training.optimizer.beta1", /diverges/],
      [
        "no staleness, asynchronous",
        changed({ rounds: asynchronous }, { round: { ...fedavg.round, maxStaleness: 0 } }),
        "round.maxStaleness",
        /at least 1/,
      ],
      ["clients, one gradient each", { ...good, sampler: clients }, "sampler.kind", /only where training.mode is "local-steps"/],
      ["clients and a number of steps", changed({}, { sampler: clients }), "training.work", /no place/],
      ["neither clients nor a number of steps", { ...fedavg, training: visiting }, "training.work", /how many local steps/],
      [
        "other visits a round than leases",
        { ...fedavg, training: { ...visiting, rounds: { kind: "all", leases: 9 } }, sampler: clients },
        "sampler.perRound",
        /must be training.rounds.leases \(9\)/,
      ],
      [
        "more visits a round than clients",
        { ...fedavg, training: visiting, sampler: { ...clients, clients: 9 } },
        "sampler.perRound",
        /at most sampler.clients/,
      ],
      [
        "roles of images",
        { ...fedavg, training: visiting, sampler: { ...clients, partition: { kind: "role" } } },
        "sampler.partition.kind",
        /names its speakers/,
      ],
      [
        "a schedule by samples of visits",
        {
          ...fedavg,
          training: {
            ...visiting,
            inner: { ...fedavg.training.inner, schedule: { kind: "constant", by: "samples", warmupSamples: 0 } },
          },
          sampler: clients,
        },
        "training.inner.schedule.by",
        /visits and not samples/,
      ],
      ["a lease beyond the largest", changed({ work: { kind: "steps", steps: 100_001 } }), "training.work.steps", /at most 100000/],
      ["a share above the whole", changed({ rounds: { kind: "quorum", leases: 8, share: 1.5 } }), "training.rounds.share", /at most 1/],
      [
        "inner Nesterov",
        changed({ inner: { ...fedavg.training.inner, optimizer: nesterov } }),
        "training.inner.optimizer.kind",
        /known kinds|must be/,
      ],
      ["a field of the other mode", changed({ samplesPerVersion: 10 }), "training.samplesPerVersion", /not a field/],
    ];
    it.each(wrong)("with %s is refused by field and rule", (_what, spec, field, rule) => {
      const problems = specProblems(spec);
      const problem = problems.find((found) => found.field === field);
      expect(problem, JSON.stringify(problems)).toBeDefined();
      expect(problem?.rule).toMatch(rule);
      expect(problem?.good).not.toMatch(/^see docs/);
    });
  });

  it("of no object at all is refused, not thrown at", () => {
    for (const value of [null, undefined, 3, "x", [], () => 0]) expect(parseRunSpec(value).ok).toBe(false);
  });
});
