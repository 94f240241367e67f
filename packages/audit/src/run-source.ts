// Where an auditor reads a run from: its ledger as it stands there, and bytes by hash. Nothing that comes from a source is believed;
// the adapters (storage here, archive/, http-source.ts) only fetch.
import type { RunId, Sha256 } from "@weft/protocol";
import { type Storage, StorageFault } from "@weft/storage";

export interface RunSource {
  readonly run: RunId;
  /** Records from `fromSeq` on, unparsed. Throws SourceDamaged where the store itself knows that the next record is spoiled. */
  records(fromSeq?: number): AsyncIterable<unknown>;
  /** Unchecked bytes; null where there are none. Throws SourceDamaged where the store itself knows that they are spoiled. */
  blob(sha256: Sha256): Promise<Uint8Array | null>;
  contribution(sha256: Sha256): Promise<Uint8Array | null>;
  /** `left-out`: the data set's shards are not here on purpose. */
  readonly data: "included" | "left-out";
}

/** Bytes that are there and not what they should be, as their store found out; the message is a sentence. Anything else thrown is no verdict. */
export class SourceDamaged extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SourceDamaged";
  }
}

const asDamage = (error: unknown): never => {
  throw error instanceof StorageFault && error.code === "damaged" ? new SourceDamaged(error.message) : error;
};

/** A run in an open storage, which is only read. */
export function storageSource(
  { ledger, blobs, contributions }: Pick<Storage, "ledger" | "blobs" | "contributions">,
  run: RunId,
): RunSource {
  return {
    run,
    data: "included",
    async *records(fromSeq = 0) {
      try {
        yield* ledger.read(run, fromSeq);
      } catch (error) {
        asDamage(error);
      }
    },
    blob: (sha256) => blobs.get(sha256).catch(asDamage),
    contribution: (sha256) => contributions.get(run, sha256).catch(asDamage),
  };
}
