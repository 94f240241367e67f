// The ledger's own records that a checkpoint carries: the run's first one, and the one that made the version with the hash before it.
// Keeps those of versions whose checkpoint is owed, and no others.
import type { CheckpointFiles } from "@weft/checkpoints";
import { emptyHead } from "@weft/ledger";
import type { LedgerRecord, Sha256, VolunteerId } from "@weft/protocol";

type Records = CheckpointFiles["provenance"];

export class CheckpointRecords {
  #created: Records["created"] | null = null;
  readonly #made = new Map<number, Omit<Records, "created">>();
  #previous: Sha256 = emptyHead("").hash;
  #coordinator: VolunteerId = "";

  /** `isOwed` as it is after this record. */
  onRecord(record: LedgerRecord, isOwed: (version: number) => boolean): void {
    const { event, hash } = record;
    if (event.type === "run-created") this.#created = { ...record, event };
    if (event.type === "run-created" || event.type === "run-adopted") this.#coordinator = event.coordinator;
    if (event.type === "version-published" && isOwed(event.version))
      this.#made.set(event.version, { previous: this.#previous, coordinator: this.#coordinator, made: { ...record, event } });
    if (event.type === "checkpoint-written") this.#made.delete(event.version);
    if (event.type === "run-rolled-back") for (const version of this.#made.keys()) if (!isOwed(version)) this.#made.delete(version);
    this.#previous = hash;
  }

  clear(): void {
    this.#created = null;
    this.#made.clear();
    this.#previous = emptyHead("").hash;
  }

  /** Throws for a version whose checkpoint is not owed. */
  of(version: number): Records {
    const made = this.#made.get(version);
    if (this.#created === null || made === undefined) throw new Error(`no checkpoint of version ${version} is owed`);
    return { created: this.#created, ...made };
  }
}
