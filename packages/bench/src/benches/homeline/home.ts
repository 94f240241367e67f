// What bench `homeline` runs: the size of it, its specification, and what a volunteer's process and the bench say to each other.
import type { RunSpecOf, SpentMs } from "@weft/protocol";
import type { LineSpeed } from "@weft/testkit/shaped-line";
import type { VolunteerSnapshot } from "@weft/volunteer";
import { wideMlp, wideMlpParameters } from "../../support/wide-mlp.ts";

export interface Home {
  readonly volunteers: number;
  /** Widths of the mlp's two hidden layers. */
  readonly width: number;
  readonly parameters: number;
  readonly leaseMs: number;
  /** Contributions with which a version closes. */
  readonly buffer: number;
  readonly line: LineSpeed;
  /** How long is measured, from the moment on when everybody has handed in a lease. */
  readonly measuredMs: number;
  readonly leastComputing: number;
  /** Whether the time that the device was given is judged by the plan of its steps, too: on a busy machine their timers are late. */
  readonly judgesPlannedMs: boolean;
}

const LINE: LineSpeed = { upBitsPerSecond: 10e6, downBitsPerSecond: 50e6, roundTripMs: 50 };
const WIDTH = 3_125;
/**
 * A base is one version behind where a version lasts as long as a contribution, from the asking for its lease to the version that counts it.
 * That is longer than the lease, which is asked for while the one before is computed and whose answer has still to be sent: 1.41 leases, as
 * versions of 8 showed, whose contributions were 1.41 behind. In 1.41 leases eight volunteers hand in 11.3 contributions.
 */
const BUFFER = 11;
const FULL: Home = {
  volunteers: 8,
  width: WIDTH,
  parameters: wideMlpParameters(WIDTH),
  leaseMs: 20_000,
  buffer: BUFFER,
  line: LINE,
  measuredMs: 160_000,
  leastComputing: 0.95,
  judgesPlannedMs: true,
};

/** A smaller model, shorter leases, and a line on which an update and a delta take `part` times as much of a lease as in the full form. */
function smaller(part: number, home: Omit<Home, "parameters" | "line">): Home {
  const parameters = wideMlpParameters(home.width);
  const speed = ((parameters / FULL.parameters) * (FULL.leaseMs / home.leaseMs)) / part;
  const line = { ...LINE, upBitsPerSecond: LINE.upBitsPerSecond * speed, downBitsPerSecond: LINE.downBitsPerSecond * speed };
  return { ...home, parameters, line };
}
/** A delta takes a quarter of the time of a lease: a volunteer that did not fetch it ahead would compute at most 0.8 of its time. As many
 *  contributions a version as volunteers, so that each lease wants one; bases are then more than one version behind in the mean. */
const SHORT = smaller(3, {
  volunteers: 3,
  width: 640,
  leaseMs: 3_000,
  buffer: 3,
  measuredMs: 9_000,
  leastComputing: 0.9,
  judgesPlannedMs: false,
});
export const HOMES = { full: FULL, short: SHORT } as const;

/** Local steps of a lease. */
const STEPS = 20;
const BATCH = 8;
export const samplesPerSecond = ({ leaseMs }: Home): number => (STEPS * BATCH * 1_000) / leaseMs;

export const homeRun = ({ buffer, width, leaseMs }: Home, seed: number): RunSpecOf<"local-steps"> => ({
  format: "weft-run/1",
  name: "homeline",
  description: "Updates of a synthetic device, for the bench of home lines",
  license: "Apache-2.0",
  seed,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: wideMlp(width),
  training: {
    mode: "local-steps",
    versions: 100_000,
    batch: BATCH,
    microBatch: BATCH,
    work: { kind: "steps", steps: STEPS },
    inner: {
      optimizer: { kind: "sgd", learningRate: 0.01, momentum: 0, weightDecay: 0 },
      schedule: { kind: "constant", warmupVersions: 0 },
      keepState: false,
    },
    rounds: { kind: "async", buffer },
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
    codec: "ternary",
    downlink: "int8",
  },
  round: { leaseMs, deadlineMs: Math.max(60_000, 6 * leaseMs), maxStaleness: 10 },
  evaluation: { everyVersions: 100_000, samples: 1 },
  checkpoints: { everyVersions: 1_000_000 },
  retention: { contributions: { versions: 1 } },
});

/** Bench to process: begin, once; then reports. */
export type Order = { readonly kind: "begin"; readonly volunteer: VolunteerOrder } | { readonly kind: "report" };
export interface VolunteerOrder {
  /** Where the line begins. */
  readonly url: string;
  readonly origin: string;
  readonly run: string;
  readonly parameters: number;
  readonly samplesPerSecond: number;
  readonly seed: number;
}
export type Answer = { readonly kind: "begun" } | ({ readonly kind: "report" } & VolunteerReport);
export interface VolunteerReport {
  readonly atMs: number;
  readonly spentMs: SpentMs;
  /** Of the device, which knows nothing of leases and lines: time for which it had samples, as its steps took it. */
  readonly deviceMs: number;
  /** The same steps as planned. What is more of `deviceMs` is their timers' lateness: another program's work, or this process's own. */
  readonly plannedMs: number;
  readonly admitted: number;
  readonly refused: number;
  /** Payloads of contributions. */
  readonly bytesUp: number;
  /** How often its weights came, in which way. */
  readonly weights: VolunteerSnapshot["weights"];
}
