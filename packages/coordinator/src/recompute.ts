// Recomputes a run's weights from its ledger, blobs and contributions alone, version by version, and compares each with the published hash.
// What an auditor does: it believes no weights but version 0's, and uses its own results from there on.
import { sha256 } from "@weft/ledger";
import { type BlobRef, type EventOf, f32FromHex, f32ToHex, type LedgerRecord, type Sha256 } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import { f32ToBytes } from "@weft/tensors";
import { closeFromBlobs } from "./round-blobs.ts";

export interface RecomputedVersion {
  readonly version: number;
  readonly published: Sha256;
  /** Null where a blob or contribution that it needs is gone. */
  readonly recomputed: Sha256 | null;
  readonly same: boolean;
  /** Why it is not the same, for people; null where it is. */
  readonly detail: string | null;
}
export interface Recomputation {
  readonly ok: boolean;
  readonly versions: readonly RecomputedVersion[];
}

/** Holds two versions in memory, however long the ledger. Stops at the first version that cannot be recomputed, since those after stand on it. */
export async function recompute(
  storage: Pick<Storage, "blobs" | "contributions">,
  records: Iterable<LedgerRecord> | AsyncIterable<LedgerRecord>,
): Promise<Recomputation> {
  const versions: RecomputedVersion[] = [];
  let created: EventOf<"run-created"> | null = null;
  const admitted = new Map<string, EventOf<"contribution-admitted">["header"]>();
  let weights: BlobRef | null = null;
  let optimizer: BlobRef | null = null;
  let own: OwnBlobs = new Map();
  for await (const { event } of records) {
    if (event.type === "run-created") {
      created = event;
      weights = event.weights;
    } else if (event.type === "contribution-admitted") admitted.set(event.header.sha256, event.header);
    else if (event.type === "version-published") {
      if (created === null || weights === null) return { ok: false, versions };
      const result = await recomputeVersion(withOwn(storage, own), created, weights, optimizer, event, admitted);
      versions.push(result.found);
      if (!result.found.same) return { ok: false, versions };
      own = result.own;
      weights = event.weights;
      optimizer = event.optimizer;
      admitted.clear();
    }
  }
  return { ok: created !== null, versions };
}

type OwnBlobs = ReadonlyMap<Sha256, Uint8Array>;

/** Reads what was just recomputed before what storage holds. */
const withOwn = (
  { blobs, contributions }: Pick<Storage, "blobs" | "contributions">,
  own: OwnBlobs,
): Pick<Storage, "blobs" | "contributions"> => ({
  contributions,
  blobs: {
    put: (bytes) => blobs.put(bytes),
    get: (name) => (own.has(name) ? Promise.resolve(own.get(name) ?? null) : blobs.get(name)),
    getRange: (name, start, end) => blobs.getRange(name, start, end),
    size: (name) => blobs.size(name),
    delete: (name) => blobs.delete(name),
  },
});

async function recomputeVersion(
  storage: Pick<Storage, "blobs" | "contributions">,
  { run, spec, parameters }: EventOf<"run-created">,
  weights: BlobRef,
  optimizer: BlobRef | null,
  published: EventOf<"version-published">,
  admitted: ReadonlyMap<string, EventOf<"contribution-admitted">["header"]>,
): Promise<{ readonly found: RecomputedVersion; readonly own: OwnBlobs }> {
  const { version } = published;
  const fail = (detail: string, recomputed: Sha256 | null = null) => ({
    found: { version, published: published.weights.sha256, recomputed, same: false, detail },
    own: new Map(),
  });
  const contributions = [];
  for (const { lease, sha256: name, samples, weight } of published.contributions) {
    const header = admitted.get(name);
    if (header === undefined || header.lease !== lease) return fail(`contribution ${name} of lease ${lease} was never admitted`);
    if (header.samples !== samples) return fail(`lease ${lease} had ${header.samples} samples, the version counts ${samples}`);
    contributions.push({ sha256: name, samples, codec: header.codec, lossMean: f32FromHex(header.lossMean), weight: f32FromHex(weight) });
  }
  let next: Awaited<ReturnType<typeof closeFromBlobs>>;
  try {
    const learningRate = f32FromHex(published.learningRate);
    next = await closeFromBlobs(storage, run, spec, parameters, { weights, optimizer, learningRate, contributions });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const bytes = f32ToBytes(next.weights);
  const recomputed = sha256(bytes);
  if (recomputed !== published.weights.sha256) return fail("the recomputed weights differ from the published ones", recomputed);
  if (sha256(next.optimizer) !== published.optimizer.sha256)
    return fail("the recomputed optimiser state differs from the published one", recomputed);
  if (f32ToHex(next.norm) !== published.norm) return fail("the recomputed norm differs from the published one", recomputed);
  return {
    found: { version, published: published.weights.sha256, recomputed, same: true, detail: null },
    own: new Map([
      [recomputed, bytes],
      [published.optimizer.sha256, next.optimizer],
    ]),
  };
}
