// Recomputes a run's weights from its ledger, blobs and contributions alone, version by version, and compares each with the published hash.
// Believes no weights but those that it begins with, which the seed gives where the run began with them; from there on it uses its own results.
import { closeFromBlobs, RoundDamaged, type RoundReader } from "@weft/coordinator";
import { sha256 as portableSha256 } from "@weft/ledger";
import { initialWeights } from "@weft/models";
import {
  type BlobRef,
  type ContributionHeader,
  type EventOf,
  f32FromHex,
  f32ToHex,
  type LeaseId,
  LedgerRecord,
  type Sha256,
} from "@weft/protocol";
import { f32ToBytes } from "@weft/tensors";
import { mayBeGone, newestBehind } from "./retention.ts";
import { type RunSource, SourceDamaged } from "./run-source.ts";

export type ReplayedVersion = {
  readonly version: number;
  /** SHA-256 of the weights as the ledger names them. */
  readonly published: Sha256;
} & (
  | {
      /** `seed`: version 0 from the specification's seed. `round`: from the contributions. `roll-back`: the bytes of an earlier version. */
      readonly outcome: "same";
      readonly from: "seed" | "round" | "roll-back";
    }
  /** The weights are taken as published: contributions were given up as the retention allows, or the replay begins here. */
  | { readonly outcome: "taken"; readonly why: "given-up" | "beginning" }
  | { readonly outcome: "different"; readonly recomputed: Sha256 | null; readonly detail: string }
);
export interface ReplayOptions {
  /** Begins with the published weights of this version; unless said, with version 0 or the run's first. */
  readonly from?: number;
  /** The last version that is recomputed; unless said, the newest. */
  readonly to?: number;
  readonly hash?: (bytes: Uint8Array) => Sha256;
  readonly onVersion?: (version: ReplayedVersion, newest: number) => void;
}
export interface Replay {
  readonly ok: boolean;
  /** How many versions were recomputed and found the same. */
  readonly same: number;
  /** Versions whose contributions were given up, so that their weights were taken as published. */
  readonly givenUp: readonly number[];
  /** The first version that differs or cannot be computed although it should; null where there is none. */
  readonly different: (ReplayedVersion & { readonly outcome: "different" }) | null;
  /** Why nothing could be replayed, as a sentence; null otherwise. */
  readonly refused: string | null;
}

/** Holds two versions in memory, however long the ledger. Stops at the first version that differs, since those after stand on it. */
export async function replay(source: RunSource, options: ReplayOptions = {}): Promise<Replay> {
  const survey = await surveyOf(source);
  if (survey === null) return refused("The ledger does not begin with a run.");
  const { first, newest } = survey;
  const { from = first, to = newest } = options;
  if (from < first || from >= Math.max(newest, first + 1))
    return refused(`Version ${from} is none to begin with: this run has versions ${first} to ${newest}.`);
  if (to <= from || to > newest)
    return newest === first && options.to === undefined
      ? new Replayer(source, options, from, to, newest).run()
      : refused(`Version ${to} is none to end with: it must lie behind ${from} and not beyond ${newest}.`);
  return new Replayer(source, options, from, to, newest).run();
}

const refused = (why: string): Replay => ({ ok: false, same: 0, givenUp: [], different: null, refused: why });

/** First and newest version; null where the ledger begins otherwise. */
async function surveyOf(source: RunSource): Promise<{ readonly first: number; readonly newest: number } | null> {
  let first: number | null = null;
  let newest = 0;
  for await (const raw of source.records()) {
    const parsed = LedgerRecord.safeParse(raw);
    if (!parsed.success) break;
    const { event } = parsed.data;
    if (event.type === "run-created") first = newest = event.origin?.version ?? 0;
    if (first === null) return null;
    if (event.type === "version-published" || event.type === "run-rolled-back") newest = event.version;
  }
  return first === null ? null : { first, newest };
}

type ToClose = Parameters<typeof closeFromBlobs>[4]["contributions"][number];
interface Tip {
  readonly weights: BlobRef;
  readonly steps: number;
  readonly optimizer: BlobRef | null;
}

class Replayer {
  readonly #source: RunSource;
  readonly #options: ReplayOptions;
  readonly #from: number;
  readonly #to: number;
  readonly #newest: number;
  readonly #hash: (bytes: Uint8Array) => Sha256;
  /** What was just computed: read before what the source holds. */
  #own = new Map<Sha256, Uint8Array>();
  readonly #published = new Map<number, Tip>();
  /** Of leases that no version counts yet. */
  readonly #admitted = new Map<LeaseId, ContributionHeader>();
  #created: EventOf<"run-created"> | null = null;
  #tip: Tip | null = null;
  #seq = -1;
  #same = 0;
  readonly #givenUp: number[] = [];

  constructor(source: RunSource, options: ReplayOptions, from: number, to: number, newest: number) {
    this.#source = source;
    this.#options = options;
    this.#from = from;
    this.#to = to;
    this.#newest = newest;
    this.#hash = options.hash ?? portableSha256;
  }

  async run(): Promise<Replay> {
    for await (const raw of this.#source.records()) {
      const parsed = LedgerRecord.safeParse(raw);
      if (!parsed.success) return this.#result(null, "The ledger holds what is no record; `weft verify` names it.");
      this.#seq = parsed.data.seq;
      const found = await this.#step(parsed.data.event);
      if (found === null) continue;
      this.#options.onVersion?.(found, this.#newest);
      if (found.outcome === "different") return this.#result(found, null);
      if (found.outcome === "same") this.#same += 1;
      else if (found.why === "given-up") this.#givenUp.push(found.version);
      if (found.version >= this.#to) break;
    }
    return this.#result(null, null);
  }

  #result(different: Replay["different"], refusal: string | null): Replay {
    return { ok: different === null && refusal === null, same: this.#same, givenUp: this.#givenUp, different, refused: refusal };
  }

  async #step(event: LedgerRecord["event"]): Promise<ReplayedVersion | null> {
    switch (event.type) {
      case "run-created":
        return this.#begin(event);
      case "contribution-admitted":
        this.#admitted.set(event.header.lease, event.header);
        return null;
      case "version-published": {
        const found = event.version > this.#from ? await this.#publish(event) : this.#skip(event.version, event.weights);
        this.#reach(event.version, { ...event, steps: (this.#tip?.steps ?? 0) + 1 });
        for (const { lease } of event.contributions) this.#admitted.delete(lease);
        return found;
      }
      case "run-rolled-back": {
        const target = this.#published.get(event.to);
        this.#reach(event.version, event);
        this.#admitted.clear();
        if (event.version <= this.#from) return this.#skip(event.version, event.weights);
        const published = event.weights.sha256;
        return target?.weights.sha256 === published && target.optimizer?.sha256 === event.optimizer?.sha256
          ? { version: event.version, published, outcome: "same", from: "roll-back" }
          : { version: event.version, published, outcome: "different", recomputed: null, detail: `it is not version ${event.to} again` };
      }
      default:
        return null;
    }
  }

  #reach(version: number, { weights, steps, optimizer }: Tip): void {
    this.#tip = { weights, steps, optimizer };
    this.#published.set(version, this.#tip);
  }

  #skip(version: number, { sha256 }: BlobRef): ReplayedVersion | null {
    return version === this.#from ? { version, published: sha256, outcome: "taken", why: "beginning" } : null;
  }

  #begin(event: EventOf<"run-created">): ReplayedVersion | null {
    const { origin, weights, spec } = event;
    this.#created = event;
    const version = origin?.version ?? 0;
    this.#reach(version, { weights, steps: origin?.steps ?? 0, optimizer: origin?.optimizer ?? null });
    if (version < this.#from) return null;
    const published = weights.sha256;
    if (origin !== null && origin !== undefined) return { version, published, outcome: "taken", why: "beginning" };
    const bytes = f32ToBytes(initialWeights(spec.model, spec.seed));
    const recomputed = this.#hash(bytes);
    if (recomputed !== published)
      return { version, published, outcome: "different", recomputed, detail: "the specification's seed gives other weights" };
    this.#own.set(recomputed, bytes);
    return { version, published, outcome: "same", from: "seed" };
  }

  async #publish(event: EventOf<"version-published">): Promise<ReplayedVersion> {
    const { version, weights, delta, optimizer, learningRate, norm } = event;
    const published = weights.sha256;
    const different = (detail: string, recomputed: Sha256 | null = null): ReplayedVersion => ({
      version,
      published,
      outcome: "different",
      recomputed,
      detail,
    });
    const [created, tip] = [this.#created, this.#tip];
    if (created === null || tip === null) return different("the ledger does not begin with a run");
    const contributions: ToClose[] = [];
    const isWeighed = created.spec.training.mode === "local-steps";
    for (const { lease, sha256, samples, weight: counts, reason } of event.contributions) {
      const header = this.#admitted.get(lease);
      if (header === undefined || header.sha256 !== sha256) return different(`contribution ${sha256} to lease ${lease} was never admitted`);
      if (header.samples !== samples) return different(`lease ${lease} had ${header.samples} samples, the version counts ${samples}`);
      const weight = reason !== null ? { weight: 0 } : isWeighed ? { weight: f32FromHex(counts) } : {};
      contributions.push({ sha256, samples, codec: header.codec, lossMean: f32FromHex(header.lossMean), ...weight });
    }
    let next: Awaited<ReturnType<typeof closeFromBlobs>>;
    try {
      const round = { ...tip, learningRate: f32FromHex(learningRate), contributions };
      next = await closeFromBlobs(this.#reader(), created.run, created.spec, created.parameters, round);
    } catch (error) {
      if (!(error instanceof RoundDamaged || error instanceof SourceDamaged)) throw error;
      // A run that goes on meanwhile gives more up; only then is the rest of the ledger read for it.
      if (
        (await this.#isGone(contributions)) &&
        (mayBeGone(created.spec, version, this.#newest) ||
          mayBeGone(created.spec, version, await newestBehind(this.#source, this.#seq, this.#newest)))
      ) {
        this.#own = new Map();
        return { version, published, outcome: "taken", why: "given-up" };
      }
      return different(error.message);
    }
    const bytes = f32ToBytes(next.weights);
    const recomputed = this.#hash(bytes);
    if (recomputed !== published) return different("the recomputed weights differ from the published ones", recomputed);
    if (this.#hash(next.optimizer) !== optimizer.sha256)
      return different("the recomputed optimiser state differs from the published one", recomputed);
    if ((next.delta === null ? undefined : this.#hash(next.delta)) !== delta?.sha256)
      return different("the recomputed delta differs from the published one", recomputed);
    if (f32ToHex(next.norm) !== norm) return different("the recomputed norm differs from the published one", recomputed);
    this.#own = new Map([
      [recomputed, bytes],
      [optimizer.sha256, next.optimizer],
    ]);
    return { version, published, outcome: "same", from: "round" };
  }

  async #isGone(contributions: readonly ToClose[]): Promise<boolean> {
    for (const { sha256, weight } of contributions) if (weight !== 0 && (await this.#source.contribution(sha256)) === null) return true;
    return false;
  }

  /** Every byte that goes into a round is checked against its name. */
  #reader(): RoundReader {
    const checked = async (sha256: Sha256, bytes: Uint8Array | null): Promise<Uint8Array | null> => {
      if (bytes !== null && this.#hash(bytes) !== sha256) throw new RoundDamaged(`${sha256} has other bytes than its name says`);
      return bytes;
    };
    return {
      blobs: { get: async (name) => this.#own.get(name) ?? checked(name, await this.#source.blob(name)) },
      contributions: { get: async (_run, name) => checked(name, await this.#source.contribution(name)) },
    };
  }
}
