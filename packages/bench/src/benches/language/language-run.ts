// What one cell of the bench trains: a small GPT on a text, by one worker or by volunteers that come and go. Plain data, and the same as the
// specification of a run.
import {
  type CodecName,
  type GptSpec,
  type LocalStepsTraining,
  parseRunSpec,
  type RoundsSpec,
  type RunSpec,
  type ScheduleSpec,
} from "@weft/protocol";

/** Model, text and the numbers that all cells of a table share. */
export interface Setting {
  readonly dataset: "austen" | "tinyshakespeare";
  readonly model: GptSpec;
  /** Windows of one step. */
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Held-out windows of the last evaluation, evenly spread, and of those on the way. */
  readonly heldOut: number;
  readonly glance: number;
}

export type Way =
  /** Every batch's gradient goes to the coordinator's AdamW. */
  | { readonly kind: "gradient"; readonly behind: number }
  /** AdamW at the volunteers, `steps` at a time. */
  | {
      readonly kind: "local-steps";
      readonly steps: number;
      readonly keepState: boolean;
      readonly rounds: Exclude<RoundsSpec, { kind: "quorum" }>;
      readonly outer: "nesterov" | "average";
    };

export interface LanguageRun {
  readonly setting: Setting;
  readonly seed: number;
  /** Devices at a time. One that leaves is followed by another, which knows nothing of it. */
  readonly places: number;
  /** Windows of one gradient of a device, where that is fewer than the batch. */
  readonly piece: number;
  readonly versions: number;
  readonly warmupVersions: number;
  readonly way: Way;
  readonly codec: CodecName;
  /** Share of the assignments whose holder leaves for good before it is done. */
  readonly lost: number;
}

export const LEASE_MS = 30_000;

/** DiLoCo's [2311.08105]; or the volunteers' mean. */
const OUTER = {
  nesterov: { kind: "nesterov", learningRate: 0.7, momentum: 0.9, weightDecay: 0 },
  average: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
} as const;

function trainingOf(run: LanguageRun): RunSpec["training"] {
  const { setting, versions, warmupVersions, way, codec, places, piece } = run;
  const { learningRate, weightDecay, batch } = setting;
  const adamw = { kind: "adamw", learningRate, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay } as const;
  const schedule: ScheduleSpec = { kind: "cosine", warmupVersions, finalFraction: 0.1 };
  const shared = { versions, rule: { kind: "mean" }, codec } as const;
  if (way.kind === "gradient")
    return { ...shared, mode: "gradient", samplesPerVersion: places * piece, microBatch: piece, optimizer: adamw, schedule, clipNorm: 1 };
  const inner: LocalStepsTraining["inner"] = { optimizer: adamw, clipNorm: 1, schedule, keepState: way.keepState };
  const work = { kind: "steps", steps: way.steps } as const;
  return { ...shared, mode: "local-steps", batch, microBatch: batch, work, inner, rounds: way.rounds, optimizer: OUTER[way.outer] };
}

/** `refusal`: the sentence with which a coordinator refuses such a run, which is so for the rows that must come out bad; else null. */
export function specOf(run: LanguageRun): { readonly spec: RunSpec; readonly refusal: string | null } {
  const { setting, way } = run;
  const spec: RunSpec = {
    format: "weft-run/1",
    name: "language",
    description: "A small GPT, for the bench of language",
    license: "Apache-2.0",
    seed: run.seed,
    dataset: setting.dataset,
    sampler: { kind: "random-window" },
    model: setting.model,
    training: trainingOf(run),
    round: { leaseMs: LEASE_MS, deadlineMs: 10 * LEASE_MS, maxStaleness: way.kind === "gradient" ? 0 : 10 },
    evaluation: { everyVersions: run.versions, samples: setting.heldOut },
    checkpoints: { everyVersions: run.versions },
  };
  const parsed = parseRunSpec(spec);
  return { spec, refusal: parsed.ok ? null : parsed.message };
}

export type VolunteerOrder =
  | { readonly kind: "begin"; readonly spec: RunSpec; readonly dataFolder: string | null }
  | {
      readonly kind: "work";
      /** Who is at this place now; what another left there is forgotten. */
      readonly volunteer: string;
      readonly lease: string;
      readonly start: number;
      readonly samples: number;
      readonly codec: CodecName;
      /** Of local steps. */
      readonly learningRate: number | null;
      readonly weights: Float32Array;
    }
  /** The last contribution was admitted, or was not. */
  | { readonly kind: "verdict"; readonly admitted: boolean }
  /** Held-out windows `from` to `to` (exclusive) of `of` that are evenly spread. */
  | { readonly kind: "evaluate"; readonly weights: Float32Array; readonly from: number; readonly to: number; readonly of: number };

export type VolunteerAnswer =
  | { readonly kind: "ready"; readonly heldOut: number }
  /** `bytes` null: something in it is not finite. */
  | { readonly kind: "contribution"; readonly bytes: Uint8Array | null; readonly lossMean: number }
  | { readonly kind: "settled" }
  | { readonly kind: "score"; readonly lossSum: number };
