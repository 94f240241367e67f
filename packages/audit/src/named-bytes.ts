// What an event names by hash: blobs and contributions, each with the words under which a finding speaks of it. Knows no store.
import { specBlobOf } from "@weft/ledger";
import type { BlobRef, DatasetManifest, LedgerEvent, Sha256 } from "@weft/protocol";
import { leaseBase } from "@weft/training";

export interface NamedBytes {
  readonly kind: "blob" | "contribution";
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  /** For people: `the weights of version 17`. */
  readonly what: string;
  /** The version that it is of, or that it was computed for; null where it is of none. */
  readonly version: number | null;
}

const blob = ({ sha256, sizeBytes }: BlobRef, what: string, version: number | null): NamedBytes => ({
  kind: "blob",
  sha256,
  sizeBytes,
  what,
  version,
});
const pair = (version: number, weights: BlobRef, optimizer: BlobRef | null): NamedBytes[] => [
  blob(weights, `the weights of version ${version}`, version),
  ...(optimizer === null ? [] : [blob(optimizer, `the optimiser state of version ${version}`, version)]),
];

/** In the order in which they are needed. */
export function namedBytes(event: LedgerEvent): readonly NamedBytes[] {
  switch (event.type) {
    case "run-created":
      return [
        blob(specBlobOf(event.spec), "the specification", null),
        blob(event.dataset, "the data set's manifest", null),
        ...pair(event.origin?.version ?? 0, event.weights, event.origin?.optimizer ?? null),
      ];
    case "contribution-admitted": {
      const { lease, sha256, sizeBytes } = event.header;
      return [{ kind: "contribution", sha256, sizeBytes, what: `the contribution to lease ${lease}`, version: leaseBase(lease) + 1 }];
    }
    case "version-published":
    case "run-rolled-back":
      return pair(event.version, event.weights, event.optimizer);
    case "checkpoint-written":
      return [blob(event.archive, `the checkpoint of version ${event.version}`, event.version)];
    default:
      return [];
  }
}

/** The shards of a data set: training and held-out. */
export const shardsOf = ({ train, heldOut }: DatasetManifest): readonly NamedBytes[] =>
  [...train, ...heldOut].map(({ sha256, sizeBytes }, index) => blob({ sha256, sizeBytes }, `shard ${index} of the data set`, null));

/** For the beginning of a sentence. */
export const capital = (what: string): string => `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
