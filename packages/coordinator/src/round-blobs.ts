// The blobs around a round, read and put in order: what both the closing of a live round and its recomputation do, so that they cannot differ.
// Knows no ledger and decides nothing.
import type { BlobRef, RunSpec, Sha256 } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import { f32FromBytes } from "@weft/tensors";
import { type AggregationRule, type NextVersion, openRound } from "@weft/training";

export interface RoundInput {
  readonly weights: BlobRef;
  /** Rounds behind these weights. */
  readonly steps: number;
  /** Null at version 0. */
  readonly optimizer: BlobRef | null;
  readonly learningRate: number;
  /** In canonical order; `weight` only where it is not the samples. */
  readonly contributions: readonly {
    readonly sha256: Sha256;
    readonly samples: number;
    readonly codec: string;
    readonly lossMean: number;
    readonly weight?: number;
  }[];
}

/** As much of a storage as a round needs. */
export interface RoundReader {
  readonly blobs: Pick<Storage["blobs"], "get">;
  readonly contributions: Pick<Storage["contributions"], "get">;
}

const DAMAGED = "RoundDamaged";
/** From so many on, what is fast may divide the work among threads. */
const SHARED_PARAMETERS = 2 ** 19;
/** Memory that threads share comes back late, when each has collected what it dropped: only rounds whose updates are folded in one go have it. */
const SHARED_CONTRIBUTIONS = 8;

/** Bytes that the ledger names and storage does not have, or that cannot be used. */
export class RoundDamaged extends Error {
  constructor(message: string) {
    super(message);
    this.name = DAMAGED;
  }
}

/**
 * True where trying again would give the same: the round's sums, or the bytes it needs, are what they are. By name and code, since the error
 * may have come from another thread. Whatever else fails (a full disk, a worker that died) may pass.
 */
export const isForGood = (error: unknown): boolean =>
  error instanceof Error && (error.name === DAMAGED || (error as { code?: unknown }).code === "damaged");

/**
 * Reads what a round needs, one contribution at a time, and closes it. Rejects with RoundDamaged or a StorageFault. `fastMean`: an
 * implementation of the mean with the bits of @weft/training's, which is used where there is none.
 */
export async function closeFromBlobs(
  { blobs, contributions }: RoundReader,
  run: string,
  spec: RunSpec,
  parameters: number,
  round: RoundInput,
  fastMean?: AggregationRule,
): Promise<NextVersion> {
  const blob = async (ref: BlobRef, what: string): Promise<Uint8Array> => {
    const bytes = await blobs.get(ref.sha256);
    if (bytes === null) throw new RoundDamaged(`${what} ${ref.sha256} is missing`);
    return bytes;
  };
  const weights = f32FromBytes(await blob(round.weights, "the weights"));
  if (weights.length !== parameters) throw new RoundDamaged(`the weights have ${weights.length} values, the model ${parameters}`);
  const optimizer = round.optimizer === null ? null : await blob(round.optimizer, "the optimiser state");
  const open = openRound({ spec, weights, steps: round.steps, optimizer, learningRate: round.learningRate }, fastMean);
  const isShared =
    fastMean !== undefined &&
    spec.training.rule.kind === "mean" &&
    parameters >= SHARED_PARAMETERS &&
    round.contributions.length <= SHARED_CONTRIBUTIONS;
  for (const { sha256, ...contribution } of round.contributions) {
    const bytes = await contributions.get(run, sha256, isShared ? "shared" : "own");
    if (bytes === null) throw new RoundDamaged(`contribution ${sha256} is missing`);
    const added = open.add({ ...contribution, bytes });
    if (!added.ok) throw new RoundDamaged(added.message);
  }
  const next = open.close();
  if (!next.ok) throw new RoundDamaged(next.message);
  return next.value;
}
