// How many samples a fresh lease gets. Arithmetic only: knows no run, no volunteer.
import type { RunSpecOf } from "@weft/protocol";

export interface LeaseSizing {
  /** Samples of the batch that nobody has been given yet, at least 1. */
  readonly left: number;
  readonly microBatch: number;
  readonly leaseMs: number;
  /** Measured speed of the one who asks; null before its first lease. */
  readonly samplesPerSecond: number | null;
  /** Volunteers present, the one who asks included. */
  readonly present: number;
  /** The most that may be given to this volunteer now; may be infinite. */
  readonly allowance: number;
}

/**
 * Samples for one lease; 0 where the allowance does not reach for a micro-batch.
 *
 * The smallest of: what the volunteer computes in `leaseMs` (one micro-batch while its speed is unknown), its share of what is left
 * among all who are present (guided self-scheduling [Polychronopoulos and Kuck 1987]: early leases are large, the last ones small,
 * so that fast and slow devices end together), its allowance, and what is left. A whole number of micro-batches, except where the
 * batch ends.
 */
export function leaseSamples({ left, microBatch, leaseMs, samplesPerSecond, present, allowance }: LeaseSizing): number {
  const whole = (samples: number): number => Math.max(1, Math.floor(samples / microBatch)) * microBatch;
  const byTime = samplesPerSecond === null ? microBatch : whole((samplesPerSecond * leaseMs) / 1000);
  const share = Math.ceil(Math.ceil(left / Math.max(1, present)) / microBatch) * microBatch;
  const allowed = allowance >= left ? left : Math.floor(allowance / microBatch) * microBatch;
  return Math.max(0, Math.min(byTime, share, allowed, left));
}

/**
 * Samples of a lease of local steps: as many steps as the specification says, or as the device does in round.leaseMs at its measured speed
 * (DyLU, arXiv 2401.09135), one while its speed is unknown.
 */
export function stepsSamples({ training: { batch, work }, round }: RunSpecOf<"local-steps">, samplesPerSecond: number | null): number {
  if (work === undefined) throw new Error("where clients are visited, a lease is as long as its client's samples");
  if (work.kind === "steps") return work.steps * batch;
  const inTime = samplesPerSecond === null ? 1 : Math.round((samplesPerSecond / batch) * (round.leaseMs / 1000));
  return Math.min(work.most, Math.max(1, inTime)) * batch;
}
