// In what pieces a lease is computed: one piece is what the device does between two looks at the state machine, a micro-batch in mode
// `gradient`, a local step in mode `local-steps`. Arithmetic only.
import type { Assignment, RunSpec } from "@weft/protocol";

export interface Plan {
  readonly samples: number;
  /** Samples of one piece; the last of a stride may have fewer. */
  readonly piece: number;
  /** No piece reaches across a multiple of it: with the sampler `clients`, an epoch over the client's samples. */
  readonly stride: number;
}

/** Null where the lease's samples are no whole number of epochs. */
export function planOf({ sampler, training }: RunSpec, { samples }: Pick<Assignment, "samples">): Plan | null {
  if (training.mode === "gradient") return { samples, piece: training.microBatch, stride: samples };
  const stride = sampler.kind === "clients" ? samples / sampler.epochs : samples;
  return Number.isInteger(stride) ? { samples, piece: training.batch, stride } : null;
}

const inStride = ({ piece, stride }: Plan): number => Math.ceil(stride / piece);

export const pieces = (plan: Plan): number => Math.ceil(plan.samples / plan.stride) * inStride(plan);

/** Samples `from` to `to`, relative to the lease, of piece `index`. */
export function pieceAt(plan: Plan, index: number): { readonly from: number; readonly to: number } {
  const each = inStride(plan);
  const stride = Math.floor(index / each);
  const from = stride * plan.stride + (index % each) * plan.piece;
  return { from, to: Math.min(from + plan.piece, (stride + 1) * plan.stride, plan.samples) };
}

/** Samples of a version, of which a lease has `samples`; null where the rounds do not say how many leases make one. */
export function samplesPerVersion({ training }: RunSpec, samples: number): number | null {
  if (training.mode === "gradient") return training.samplesPerVersion;
  return training.rounds.kind === "async" ? null : training.rounds.leases * samples;
}
