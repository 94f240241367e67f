// What an event names by hash: blobs and contributions, each with the words under which a finding speaks of it. Knows no store.
import { specBlobOf } from "@weft/ledger";
import type { BlobRef, DatasetManifest, LeaseId, LedgerEvent, Sha256 } from "@weft/protocol";

export interface NamedBytes {
  readonly kind: "blob" | "contribution";
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  /** For people: `the weights of version 17`. */
  readonly what: string;
  /** Of a contribution the lease that it answers: CountedIn tells the version that counts it. */
  readonly lease?: LeaseId;
}

/** Which version counts each contribution, or gave it up: known only when that version's record is read. */
export class CountedIn {
  readonly #versions = new Map<LeaseId, number>();

  apply(event: LedgerEvent): void {
    if (event.type === "version-published") for (const { lease } of event.contributions) this.#versions.set(lease, event.version);
    if (event.type === "run-rolled-back") for (const { lease } of event.abandoned) this.#versions.set(lease, event.version);
  }
  /** Null for what is no contribution, and for one that still waits for its version. */
  versionOf({ lease }: NamedBytes): number | null {
    return lease === undefined ? null : (this.#versions.get(lease) ?? null);
  }
}

const blob = ({ sha256, sizeBytes }: BlobRef, what: string): NamedBytes => ({ kind: "blob", sha256, sizeBytes, what });
const pair = (version: number, weights: BlobRef, optimizer: BlobRef | null): NamedBytes[] => [
  blob(weights, `the weights of version ${version}`),
  ...(optimizer === null ? [] : [blob(optimizer, `the optimiser state of version ${version}`)]),
];

/** In the order in which they are needed. */
export function namedBytes(event: LedgerEvent): readonly NamedBytes[] {
  switch (event.type) {
    case "run-created":
      return [
        blob(specBlobOf(event.spec), "the specification"),
        blob(event.dataset, "the data set's manifest"),
        ...pair(event.origin?.version ?? 0, event.weights, event.origin?.optimizer ?? null),
      ];
    case "contribution-admitted": {
      const { lease, sha256, sizeBytes } = event.header;
      return [{ kind: "contribution", sha256, sizeBytes, what: `the contribution to lease ${lease}`, lease }];
    }
    case "version-published":
      return [
        ...pair(event.version, event.weights, event.optimizer),
        ...(event.delta === undefined ? [] : [blob(event.delta, `the delta to version ${event.version}`)]),
      ];
    case "run-rolled-back":
      return pair(event.version, event.weights, event.optimizer);
    case "checkpoint-written":
      return [blob(event.archive, `the checkpoint of version ${event.version}`)];
    default:
      return [];
  }
}

/** The shards of a data set: training and held-out. */
export const shardsOf = ({ train, heldOut }: DatasetManifest): readonly NamedBytes[] =>
  [...train, ...heldOut].map(({ sha256, sizeBytes }, index) => blob({ sha256, sizeBytes }, `shard ${index} of the data set`));

/** For the beginning of a sentence. */
export const capital = (what: string): string => `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
