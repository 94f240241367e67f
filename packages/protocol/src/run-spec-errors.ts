// Turns any value into a RunSpec, or into sentences that name the field, the rule it breaks and a good value.
// Adds the rules that cross fields. Does not know which data sets exist.
import { ok, type Result, refuse } from "./errors.ts";
import { MAX_LEASE_SAMPLES } from "./limits.ts";
import { type GradientTraining, type LocalStepsTraining, RunSpec, readsText } from "./run-spec.ts";

const GOOD: Record<string, string> = {
  format: '"weft-run/1"',
  name: '"digits"',
  description: '"Reads a handwritten digit"',
  license: '"Apache-2.0"',
  seed: "7",
  dataset: '"digits"',
  sampler: '{ "kind": "epoch" } or { "kind": "random-window" }',
  "sampler.kind": '"epoch", "random-window" or "clients"',
  "sampler.clients": "100",
  "sampler.perRound": "10",
  "sampler.epochs": "1",
  "sampler.partition": '{ "kind": "iid" }',
  "sampler.partition.kind": '"iid", "label-shards", "dirichlet" or "role"',
  "sampler.partition.shardsPerClient": "2",
  "sampler.partition.alpha": "0.5",
  model: '{ "kind": "mlp", "inputs": 64, "hidden": [32], "classes": 10 }',
  "model.kind": '"mlp", "cnn", "gpt" or "lstm"',
  "model.inputs": "64",
  "model.hidden": "[32] (mlp), 128 (cnn) or 256 (lstm)",
  "model.classes": "10",
  "model.kernel": "3",
  "model.channels": "[8, 16]",
  "model.vocabulary": "the number of symbols of the data set, for example 81",
  "model.context": "64",
  "model.embedding": "8",
  "model.layers": "2",
  "model.heads": "4",
  "model.width": "64",
  "model.bias": "true",
  "model.gelu": '"exact" or "tanh"',
  training: "an object with mode, versions, samplesPerVersion, microBatch, rule, optimizer, schedule and codec",
  "training.mode": '"gradient" or "local-steps"',
  "training.versions": "240",
  "training.samplesPerVersion": "256",
  "training.microBatch": "32",
  "training.rule": '{ "kind": "mean" }',
  "training.rule.kind": '"mean", "clipped-mean", "trimmed-mean", "median", "centered-clip" or "krum"',
  "training.rule.trim": "0.2",
  "training.rule.faulty": "0.2",
  "training.optimizer": '{ "kind": "adamw", "learningRate": 0.002, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weightDecay": 0.01 }',
  "training.optimizer.kind": '"adamw", "sgd" or "nesterov"',
  "training.optimizer.learningRate": "0.002",
  "training.optimizer.momentum": "0.9",
  "training.optimizer.beta1": "0.9",
  "training.optimizer.beta2": "0.99",
  "training.optimizer.epsilon": "1e-8",
  "training.optimizer.weightDecay": "0.01",
  "training.schedule": '{ "kind": "cosine", "warmupVersions": 10, "finalFraction": 0.1 }',
  "training.schedule.kind": '"constant", "cosine", "linear" or "step"',
  "training.schedule.by": '"versions" or "samples", or leave it out',
  "training.schedule.warmupVersions": "10",
  "training.schedule.finalFraction": "0.1",
  "training.schedule.warmupSamples": "1000",
  "training.schedule.samples": "100000",
  "training.schedule.milestones": "[100, 200]",
  "training.schedule.factor": "0.1",
  "training.clipNorm": "1, or leave it out",
  "training.codec": '"f32", "f16", "int8", "int4", "ternary", "sign", "topk" or "auto"',
  "training.precision": '"f32" or "f16", or leave it out',
  "training.downlink": '"f32" or "int8", or leave it out',
  "training.batch": "16",
  "training.work": '{ "kind": "steps", "steps": 10 }',
  "training.work.kind": '"steps" or "timed"',
  "training.work.steps": "10",
  "training.work.most": "100",
  "training.inner":
    '{ "optimizer": { "kind": "sgd", "learningRate": 0.1, "momentum": 0, "weightDecay": 0 }, "schedule": { "kind": "constant", "warmupVersions": 0 }, "keepState": false }',
  "training.inner.optimizer": '{ "kind": "sgd", "learningRate": 0.1, "momentum": 0, "weightDecay": 0 }',
  "training.inner.optimizer.kind": '"sgd" or "adamw"',
  "training.inner.optimizer.learningRate": "0.1",
  "training.inner.optimizer.momentum": "0",
  "training.inner.optimizer.beta1": "0.9",
  "training.inner.optimizer.beta2": "0.99",
  "training.inner.optimizer.epsilon": "1e-8",
  "training.inner.optimizer.weightDecay": "0",
  "training.inner.clipNorm": "1, or leave it out",
  "training.inner.schedule": '{ "kind": "constant", "warmupVersions": 0 }',
  "training.inner.schedule.kind": '"constant", "cosine", "linear" or "step"',
  "training.inner.schedule.by": '"versions" or "samples", or leave it out',
  "training.inner.schedule.warmupVersions": "10",
  "training.inner.schedule.finalFraction": "0.1",
  "training.inner.schedule.warmupSamples": "1000",
  "training.inner.schedule.samples": "100000",
  "training.inner.schedule.milestones": "[100, 200]",
  "training.inner.schedule.factor": "0.1",
  "training.inner.keepState": "false",
  "training.rounds": '{ "kind": "quorum", "leases": 8 }',
  "training.rounds.kind": '"all", "quorum" or "async"',
  "training.rounds.leases": "8",
  "training.rounds.share": "0.7, or leave it out",
  "training.rounds.buffer": '"auto"',
  round: '{ "leaseMs": 3000, "deadlineMs": 30000, "maxStaleness": 0 }',
  "round.leaseMs": "3000",
  "round.deadlineMs": "30000",
  "round.maxStaleness": "0",
  evaluation: '{ "everyVersions": 10, "samples": 360 }',
  "evaluation.everyVersions": "10",
  "evaluation.samples": "360",
  checkpoints: '{ "everyVersions": 60 }',
  "checkpoints.everyVersions": "60",
  retention: '{ "contributions": { "versions": 100 } }, or leave it out',
  "retention.contributions": '"all", "none" or { "versions": 100 }',
  "retention.contributions.versions": "100",
};

export interface SpecProblem {
  readonly field: string;
  readonly rule: string;
  readonly good: string;
}

interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly expected?: unknown;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
  readonly keys?: readonly string[];
  readonly values?: readonly unknown[];
  readonly pattern?: unknown;
}

const article = (kind: string): string =>
  kind === "int" ? "a whole number" : kind === "object" || kind === "array" ? `an ${kind}` : `a ${kind}`;

function ruleOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${article(String(issue.expected))}`;
    case "too_small":
      return `must be at least ${String(issue.minimum)}`;
    case "too_big":
      return `must be at most ${String(issue.maximum)}`;
    case "invalid_value":
      return `must be ${(issue.values ?? []).map((value) => JSON.stringify(value)).join(" or ")}`;
    case "unrecognized_keys":
      return `is not a field of a run specification`;
    case "invalid_format":
      return `must match ${String(issue.pattern)}`;
    case "invalid_union":
      return "must be one of the known kinds";
    default:
      return issue.message;
  }
}

const problemOf = (issue: Issue): SpecProblem => {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys")
    return { field: [...path, (issue.keys ?? ["?"])[0]].join("."), rule: ruleOf(issue), good: "leave it out" };
  const named = path.filter((part) => !/^\d+$/.test(part)).join(".");
  return { field: path.join(".") || "(the whole)", rule: ruleOf(issue), good: GOOD[named] ?? "see docs/run-specification.md" };
};

/** Rules that cross fields; each is a fact of the algorithms, not of this schema. */
function crossProblems(spec: RunSpec): SpecProblem[] {
  const problems: SpecProblem[] = [];
  const { model, training, round } = spec;
  if (model.kind === "gpt" && model.width % model.heads !== 0)
    problems.push({ field: "model.heads", rule: `must divide model.width (${model.width})`, good: `a divisor of ${model.width}` });
  if (model.kind === "cnn" && model.kernel % 2 === 0)
    problems.push({ field: "model.kernel", rule: "must be odd, so that padding is the same on both sides", good: "3" });
  if (model.kind === "cnn" && Math.min(model.height, model.width) >> model.channels.length < 1)
    problems.push({
      field: "model.channels",
      rule: `has ${model.channels.length} poolings, too many for ${model.height}x${model.width}`,
      good: "[8, 16]",
    });
  problems.push(...samplerProblems(spec), ...scheduleProblems(spec));
  if (round.deadlineMs < round.leaseMs)
    problems.push({
      field: "round.deadlineMs",
      rule: `must be at least round.leaseMs (${round.leaseMs})`,
      good: String(10 * round.leaseMs),
    });
  problems.push(...(training.mode === "gradient" ? gradientProblems(training, spec) : localStepsProblems(training, spec)));
  return problems;
}

function samplerProblems({ model, sampler, training }: RunSpec): SpecProblem[] {
  const isText = readsText(model);
  if (sampler.kind !== "clients") {
    if (isText && sampler.kind !== "random-window")
      return [{ field: "sampler.kind", rule: `must be "random-window" for text (${model.kind})`, good: '"random-window"' }];
    if (!isText && sampler.kind !== "epoch")
      return [{ field: "sampler.kind", rule: `must be "epoch" for images (${model.kind})`, good: '"epoch"' }];
    return [];
  }
  const problems: SpecProblem[] = [];
  const { clients, perRound, partition } = sampler;
  if (training.mode === "gradient")
    problems.push({
      field: "sampler.kind",
      rule: 'can be "clients" only where training.mode is "local-steps": a client is visited for several steps',
      good: isText ? '"random-window"' : '"epoch"',
    });
  if (perRound > clients)
    problems.push({ field: "sampler.perRound", rule: `must be at most sampler.clients (${clients})`, good: String(clients) });
  if (isText && (partition.kind === "label-shards" || partition.kind === "dirichlet"))
    problems.push({ field: "sampler.partition.kind", rule: "needs labels, which a text has not", good: '"iid" or "role"' });
  if (!isText && partition.kind === "role")
    problems.push({ field: "sampler.partition.kind", rule: "needs a text that names its speakers", good: '"iid"' });
  return problems;
}

function scheduleProblems({ training, sampler }: RunSpec): SpecProblem[] {
  const [field, schedule] =
    training.mode === "gradient" ? ["training.schedule", training.schedule] : ["training.inner.schedule", training.inner.schedule];
  const problems: SpecProblem[] = [];
  if (schedule.by === "samples" && sampler.kind === "clients")
    problems.push({
      field: `${field}.by`,
      rule: 'must be "versions" with the sampler "clients", whose positions are visits and not samples',
      good: '"versions"',
    });
  if (schedule.kind === "step" && schedule.milestones.some((place, index, all) => index > 0 && place <= (all[index - 1] as number)))
    problems.push({ field: `${field}.milestones`, rule: "must rise from each to the next", good: "[100, 200]" });
  return problems;
}

function gradientProblems(training: GradientTraining, { round }: RunSpec): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (training.microBatch > training.samplesPerVersion)
    problems.push({
      field: "training.microBatch",
      rule: `must be at most training.samplesPerVersion (${training.samplesPerVersion})`,
      good: String(training.samplesPerVersion),
    });
  if (round.maxStaleness !== 0)
    problems.push({
      field: "round.maxStaleness",
      rule: "must be 0 in gradient mode, where every contribution is computed on the current version",
      good: "0",
    });
  return problems;
}

function localStepsProblems({ batch, work, rounds, optimizer }: LocalStepsTraining, { sampler, round }: RunSpec): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (sampler.kind === "clients") {
    if (work !== undefined)
      problems.push({
        field: "training.work",
        rule: 'has no place beside the sampler "clients", where a lease is sampler.epochs over one client',
        good: "leave it out",
      });
    if (rounds.kind !== "async" && rounds.leases !== sampler.perRound)
      problems.push({
        field: "sampler.perRound",
        rule: `must be training.rounds.leases (${rounds.leases}): a lease is a visit to one client`,
        good: String(rounds.leases),
      });
  } else if (work === undefined)
    problems.push({ field: "training.work", rule: "must say how many local steps a lease has", good: GOOD["training.work"] as string });
  else {
    const most = Math.floor(MAX_LEASE_SAMPLES / batch);
    const steps = work.kind === "steps" ? work.steps : work.most;
    if (steps > most)
      problems.push({
        field: work.kind === "steps" ? "training.work.steps" : "training.work.most",
        rule: `must be at most ${most} with training.batch ${batch}: a lease has at most ${MAX_LEASE_SAMPLES} samples`,
        good: String(Math.min(most, 10)),
      });
  }
  if (rounds.kind !== "async") return problems;
  const momentum = optimizer.kind === "adamw" ? optimizer.beta1 : optimizer.momentum;
  if (optimizer.kind === "nesterov" || momentum !== 0)
    problems.push({
      field: optimizer.kind === "adamw" ? "training.optimizer.beta1" : "training.optimizer.momentum",
      rule: 'must be 0, and the kind not "nesterov", with "async" rounds: outer momentum over stale contributions diverges (arXiv 2401.09135)',
      good: '{ "kind": "sgd", "learningRate": 1, "momentum": 0, "weightDecay": 0 }',
    });
  if (round.maxStaleness === 0)
    problems.push({
      field: "round.maxStaleness",
      rule: 'must be at least 1 with "async" rounds, where versions come while others still compute',
      good: "10",
    });
  return problems;
}

/** All problems of a value as a specification; empty means it is one. */
export function specProblems(value: unknown): SpecProblem[] {
  const parsed = RunSpec.safeParse(value);
  if (!parsed.success) return parsed.error.issues.map((issue) => problemOf(issue as Issue));
  return crossProblems(parsed.data);
}

export function parseRunSpec(value: unknown): Result<RunSpec> {
  const problems = specProblems(value);
  if (problems.length === 0) return ok(RunSpec.parse(value));
  const sentences = problems.slice(0, 8).map(({ field, rule, good }) => `${field} ${rule}; for example ${good}.`);
  return refuse("bad-spec", sentences.join(" "));
}
