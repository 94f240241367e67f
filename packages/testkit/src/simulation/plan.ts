// What a seed stands for: how many take part, on what specification, for how long things go wrong, and which things. Pure.
import type { RunSpec, RunSpecOf } from "@weft/protocol";
import { TINY_SPEC } from "../fixtures.ts";
import { type Dice, diceOf } from "./dice.ts";
import { FAULT_NAMES, type FaultName } from "./faults.ts";
import type { MutationName } from "./mutations.ts";

export type SimulationSize = "small" | "large";

export interface SimulationOptions {
  readonly seed: number;
  readonly size: SimulationSize;
  /** Smaller forms of the same seed. */
  readonly volunteers?: number;
  readonly versions?: number;
  readonly without?: readonly FaultName[];
  /** Broken on purpose, in this way. */
  readonly mutation?: MutationName;
}

export interface SimulationPlan {
  readonly seed: number;
  readonly size: SimulationSize;
  /** Tabs and scripted volunteers together; the first tab is honest and stays. */
  readonly volunteers: number;
  readonly scripted: number;
  readonly specs: readonly RunSpecOf<"gradient">[];
  readonly faults: ReadonlySet<FaultName>;
  /** How often things go wrong: 1 is the usual. */
  readonly intensity: number;
  /** Things go wrong until then, in ms since the start. */
  readonly calmAtMs: number;
  /**
   * All leases are one micro-batch, and answers depend on positions and weights alone: whatever happens, the weights must come out as they do
   * where nothing happens.
   */
  readonly isFixed: boolean;
}

const RARE: Readonly<Partial<Record<FaultName, number>>> = {
  stop: 0.05,
  "failed-sync": 0.15,
  "full-disk": 0.25,
  "clean-restart": 0.25,
  // Each of these makes a simulation dearer.
  "half-sent": 0.08,
  "resume-from": 0.12,
  fork: 0.12,
  archive: 0.1,
};

/** The smallest update of two chunks: 65,802 parameters, 263,208 bytes. */
const TWO_CHUNKS: RunSpec["model"] = { kind: "mlp", inputs: 4, hidden: [9_400], classes: 2 };

export function planOf({ seed, size, volunteers, versions, without = [] }: SimulationOptions): SimulationPlan {
  const dice = diceOf(seed, size, "plan");
  const large = size === "large";
  const people = large ? 200 : Math.round(dice.scale(3, 40));
  const rounds = large ? 50 : dice.whole(5, 20);
  const faults = new Set<FaultName>();
  // A few things at a time in most seeds, all of them in some: a mistake hides as easily in a crowd of faults as in their absence.
  const share = dice.pick([0.15, 0.3, 0.5, 0.8, 1]);
  for (const name of FAULT_NAMES) {
    const isOn = diceOf(seed, size, "fault", name).chance(share * (RARE[name] ?? 1));
    // A large one with large updates would take minutes.
    if (isOn && !without.includes(name) && !(large && name === "half-sent")) faults.add(name);
  }
  const isFixed = dice.chance(0.6);
  const calmAtMs = dice.scale(8_000, large ? 60_000 : 40_000);
  const intensity = dice.scale(0.3, 3);
  const isLong = faults.has("half-sent");
  const specs = [specOf(seed, size, 0, isLong ? dice.whole(2, 4) : rounds, isFixed, isLong)];
  if (!large && dice.chance(0.12)) specs.push(specOf(seed, size, 1, dice.whole(2, 8), isFixed, false));
  const count = Math.max(1, volunteers ?? people);
  return {
    seed,
    size,
    volunteers: count,
    scripted: Math.min(Math.floor(count / 3), Math.round(people * dice.between(0, 0.3))),
    specs: versions === undefined ? specs : specs.map((spec) => ({ ...spec, training: { ...spec.training, versions } })),
    faults,
    intensity,
    calmAtMs,
    isFixed,
  };
}

/** Of contributions: what is not kept cannot be recomputed, and nothing else changes. */
export const retentionOf = (dice: Dice): Pick<RunSpec, "retention"> => {
  const contributions = dice.pick([null, "all", "none", { versions: 1 }, { versions: 3 }] as const);
  return contributions === null ? {} : { retention: { contributions } };
};

function specOf(
  seed: number,
  size: SimulationSize,
  index: number,
  versions: number,
  isFixed: boolean,
  /** Updates of two chunks. */
  isLong: boolean,
): RunSpecOf<"gradient"> {
  const dice = diceOf(seed, size, "specification", index);
  const large = size === "large";
  // Fixed leases are one micro-batch of every run: who works on two of them has one speed.
  const microBatch = diceOf(seed, size, "micro-batch", isFixed ? 0 : index).whole(1, 4);
  const leases = large ? dice.whole(24, 40) : dice.whole(2, isLong ? 4 : 10);
  // Some batches do not divide into micro-batches.
  const samplesPerVersion = Math.max(1, microBatch * leases - (dice.chance(0.3) ? dice.whole(0, microBatch - 1) : 0));
  const base = isLong ? { ...TINY_SPEC, model: TWO_CHUNKS } : TINY_SPEC;
  // Fixed leases: no device is fast enough for a second micro-batch in the time of a lease.
  const leaseMs = isFixed ? 100 : Math.round(dice.scale(100, 2_000));
  const deadlineMs = Math.max(leaseMs, Math.round(dice.scale(1_500, 12_000)));
  return {
    ...base,
    name: index === 0 ? "storm" : "second storm",
    seed: dice.whole(0, 0xffff_ffff),
    training: {
      ...base.training,
      versions,
      samplesPerVersion,
      microBatch,
      optimizer: dice.chance(0.5) ? base.training.optimizer : { kind: "sgd", learningRate: 0.05, momentum: 0.9, weightDecay: 0 },
      schedule: dice.pick([
        { kind: "constant", warmupVersions: 0 },
        { kind: "linear", warmupVersions: 2, finalFraction: 0.1 },
        { kind: "linear", by: "samples", warmupSamples: 2 * samplesPerVersion, samples: versions * samplesPerVersion, finalFraction: 0.1 },
        { kind: "step", warmupVersions: 0, milestones: [3, 6], factor: 0.5 },
      ]),
      codec: isFixed || isLong ? "f32" : dice.pick(["f32", "f16", "int8"]),
      ...(diceOf(seed, size, "published", index).chance(0.2) ? { downlink: "int8" as const } : {}),
    },
    round: { leaseMs, deadlineMs, maxStaleness: 0 },
    evaluation: { everyVersions: dice.whole(1, 5), samples: 10 },
    checkpoints: { everyVersions: dice.whole(2, 6) },
    ...retentionOf(diceOf(seed, size, "retention", index)),
  };
}

/** Samples a second of one tab: in fixed runs too few for two micro-batches a lease. */
export function speedOf(plan: SimulationPlan, tab: number): number {
  const dice = diceOf(plan.seed, plan.size, "speed", tab);
  const { microBatch } = (plan.specs[0] as RunSpecOf<"gradient">).training;
  return plan.isFixed ? dice.scale(1.5, 9.5) * microBatch : dice.scale(2, 100);
}
