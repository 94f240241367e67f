// Checks a run as a stranger would: chain and signatures, every byte that the ledger names, and that everything adds up. Believes nothing it
// is given; says exactly what is proved. Does not recompute weights: replay.ts does.
import { type ChainReport, createChainVerifier, sha256 as portableSha256, SIGNING_DOMAINS, verifySignature } from "@weft/ledger";
import { type DatasetManifest, LedgerRecord, type RunId, type Sha256, type VolunteerId } from "@weft/protocol";
import { evolve, initialState, populationOf, type RunState } from "@weft/training";
import { Accounting } from "./accounting.ts";
import { blobEntry, contributionEntry, LEDGER } from "./archive/archive-format.ts";
import type { OpenedArchive, SpoiledPart } from "./archive/read-archive.ts";
import { type Finding, Findings } from "./findings.ts";
import { countSamples, type SampleCount, undoneVersions } from "./lineage.ts";
import { manifestOf } from "./manifest.ts";
import { CountedIn, capital, type NamedBytes, namedBytes, shardsOf } from "./named-bytes.ts";
import { addToSpans, type ProvableSpan, type Proved, rangesOf, spanStatements, statements } from "./proof.ts";
import { mayBeGone, newestBehind } from "./retention.ts";
import { type RunSource, SourceDamaged } from "./run-source.ts";

export type VerifyProgress =
  | { readonly phase: "file"; readonly done: number; readonly of: number }
  | { readonly phase: "ledger"; readonly done: number }
  | { readonly phase: "bytes"; readonly done: number; readonly of: number };

export interface VerifyOptions {
  /** The key of the coordinator that keeps the run now, as known from elsewhere; without it the ledger's own word is taken, and said. */
  readonly key?: VolunteerId;
  /** Faster ones than the portable, where the platform has them. */
  readonly hash?: (bytes: Uint8Array) => Sha256;
  readonly verify?: (publicKey: VolunteerId, domain: string, value: unknown, signature: string) => boolean;
  readonly onProgress?: (progress: VerifyProgress) => void;
}

export interface Verification {
  readonly ok: boolean;
  readonly run: RunId;
  readonly name: string | null;
  readonly newest: number | null;
  readonly head: ChainReport["head"];
  /** Listed in the order of the ledger; `found` counts those beyond the list too. */
  readonly findings: readonly Finding[];
  readonly found: number;
  /** What is proved, in sentences; empty where something was found, but for what can still be recomputed. */
  readonly proved: readonly string[];
  readonly spans: readonly ProvableSpan[];
  readonly figures: Omit<Proved, "spec" | "spans"> | null;
}

/** Rejects only where the source cannot be read at all (a network, a disk): that is no verdict on the run. */
export const verify = (source: RunSource, options: VerifyOptions = {}): Promise<Verification> => new Verifier(source, options).run(null);

/** The same for an archive, every byte of the file included. */
export async function verifyArchive(archive: OpenedArchive, options: VerifyOptions = {}): Promise<Verification> {
  const spoiled = await archive.check((done, of) => options.onProgress?.({ phase: "file", done, of }));
  return new Verifier(archive.source, options).run({ archive, spoiled });
}

interface Named extends NamedBytes {
  readonly seq: number;
}

const LEDGER_STEP = 500;

class Verifier {
  readonly #source: RunSource;
  readonly #options: VerifyOptions;
  readonly #findings = new Findings();
  readonly #accounting = new Accounting(this.#findings);
  readonly #named: Named[] = [];
  readonly #countedIn = new CountedIn();
  readonly #checked = new Set<string>();
  /** Contributions that are not here as they should be: what they were for cannot be recomputed. */
  readonly #absent = new Map<Sha256, "given-up" | "broken">();
  /** Blobs that are not here as they should be. */
  readonly #lost = new Set<Sha256>();
  readonly #totals = { blobs: 0, sizeBytes: 0, kept: 0, givenUp: 0, shards: 0 };
  readonly #countedBy = new Map<number, Sha256[]>();
  #state: RunState | null | "lost" = null;
  #manifest: DatasetManifest | null = null;
  #lastSeq = -1;
  /** Of a run that went on while its bytes were read. */
  #newestSeen = 0;

  constructor(source: RunSource, options: VerifyOptions) {
    this.#source = source;
    this.#options = options;
  }

  async run(file: { readonly archive: OpenedArchive; readonly spoiled: readonly SpoiledPart[] } | null): Promise<Verification> {
    const chain = await this.#ledger();
    await this.#bytes();
    const samples = this.#samples();
    if (file !== null) this.#file(file.archive, file.spoiled, chain);
    return this.#verdict(chain, samples);
  }

  async #ledger(): Promise<ChainReport> {
    const { key, onProgress } = this.#options;
    const chain = createChainVerifier(this.#source.run, key, this.#options.verify);
    let seq = 0;
    try {
      for await (const raw of this.#source.records()) {
        chain.push(raw);
        const parsed = LedgerRecord.safeParse(raw);
        if (parsed.success) this.#record(parsed.data);
        else this.#state = "lost";
        this.#lastSeq = seq;
        seq += 1;
        if (seq % LEDGER_STEP === 0) onProgress?.({ phase: "ledger", done: seq });
      }
    } catch (error) {
      if (!(error instanceof SourceDamaged)) throw error;
      this.#findings.add("wrong-bytes", seq, `Record ${seq} cannot be read: ${error.message}`);
    }
    onProgress?.({ phase: "ledger", done: seq });
    if (seq === 0) this.#findings.add("missing", null, "The ledger is empty.");
    return chain.report();
  }

  #record(record: LedgerRecord): void {
    const { seq, event } = record;
    this.#accounting.push(record);
    this.#fold(record);
    this.#countedIn.apply(event);
    for (const named of namedBytes(event)) this.#named.push({ ...named, seq });
    if (event.type === "version-published")
      this.#countedBy.set(
        event.version,
        event.contributions.filter(({ reason }) => reason === null).map(({ sha256 }) => sha256),
      );
    if (event.type !== "contribution-admitted") return;
    const { header, signature } = event;
    const check = this.#options.verify ?? verifySignature;
    if (!check(header.volunteer, SIGNING_DOMAINS.contribution, header, signature))
      this.#findings.add(
        "volunteer-signature",
        seq,
        `The contribution to lease ${header.lease} is not signed by the volunteer that it names.`,
        header.sha256,
      );
  }

  /** The coordinator's own state machine must be able to follow, too. After the first event that it cannot follow it knows nothing more. */
  #fold({ seq, event, atMs }: LedgerRecord): void {
    if (this.#state === "lost") return;
    try {
      if (this.#state !== null) this.#state = evolve(this.#state, event, atMs);
      else if (event.type === "run-created") this.#state = initialState(event, atMs);
    } catch (error) {
      this.#state = "lost";
      // What the accounting has put in words is not said twice.
      if (!this.#findings.has(seq)) this.#findings.add("impossible", seq, `${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  async #bytes(): Promise<void> {
    const { onProgress } = this.#options;
    for (const [index, named] of this.#named.entries()) {
      await this.#check(named);
      onProgress?.({ phase: "bytes", done: index + 1, of: this.#named.length });
    }
    if (this.#manifest === null || this.#source.data === "left-out") return;
    const seq = this.#named.find(({ what }) => what === MANIFEST)?.seq ?? 0;
    for (const shard of shardsOf(this.#manifest)) {
      await this.#check({ ...shard, seq });
      this.#totals.shards += 1;
    }
  }

  async #check(named: Named): Promise<void> {
    const { kind, sha256, sizeBytes, what, seq } = named;
    const name = nameOf(named);
    if (this.#checked.has(name)) return;
    this.#checked.add(name);
    const wrong = (code: Finding["code"], detail: string): void => {
      if (kind === "blob") this.#lost.add(sha256);
      else this.#absent.set(sha256, "broken");
      this.#findings.add(code, seq, detail, sha256);
    };
    let bytes: Uint8Array | null;
    try {
      bytes = kind === "blob" ? await this.#source.blob(sha256) : await this.#source.contribution(sha256);
    } catch (error) {
      if (!(error instanceof SourceDamaged)) throw error;
      return wrong("wrong-bytes", `${capital(what)} cannot be read: ${error.message}`);
    }
    if (bytes === null) {
      if (await this.#isGivenUp(named)) {
        if (!this.#absent.has(sha256)) this.#totals.givenUp += 1;
        this.#absent.set(sha256, "given-up");
        // The same bytes may be a later version's too, which keeps them.
        this.#checked.delete(name);
        return;
      }
      return wrong("missing", `${capital(what)} is missing${kind === "contribution" ? ", although the run's retention keeps it" : ""}.`);
    }
    if ((this.#options.hash ?? portableSha256)(bytes) !== sha256)
      return wrong("wrong-bytes", `${capital(what)} has other bytes than the ledger names.`);
    if (bytes.length !== sizeBytes)
      return wrong("wrong-bytes", `${capital(what)} has ${bytes.length} bytes; the ledger names ${sizeBytes}.`);
    if (kind === "contribution") this.#totals.kept += 1;
    else {
      this.#totals.blobs += 1;
      this.#totals.sizeBytes += sizeBytes;
    }
    if (what !== MANIFEST) return;
    this.#manifest = manifestOf(bytes);
    if (this.#manifest === null) this.#findings.add("accounting", seq, "The data set's manifest is not a manifest.", sha256);
  }

  async #isGivenUp(named: Named): Promise<boolean> {
    const { created, tip } = this.#accounting;
    const version = this.#countedIn.versionOf(named);
    if (version === null || created === null || tip === null) return false;
    if (mayBeGone(created.spec, version, Math.max(tip.version, this.#newestSeen))) return true;
    this.#newestSeen = await newestBehind(this.#source, this.#lastSeq, tip.version);
    return mayBeGone(created.spec, version, this.#newestSeen);
  }

  #samples(): SampleCount | null {
    const { created, tip } = this.#accounting;
    if (created === null || tip === null || this.#manifest === null) return null;
    const population = populationOf(created.spec, this.#manifest);
    const samples = countSamples(created.spec, population, created.origin ?? { position: 0 }, tip);
    for (const fault of samples.faults) this.#findings.add("accounting", null, fault);
    return samples;
  }

  /** What is spoiled in the file and no finding names yet. */
  #file({ table }: OpenedArchive, spoiled: readonly SpoiledPart[], chain: ChainReport): void {
    for (const { part, detail } of spoiled) {
      if (part === "digest" || (part !== LEDGER && this.#checked.has(part))) continue;
      this.#findings.add("archive", null, `${capital(detail)}.`);
    }
    // A spoiled ledger may have lost the names.
    const isWhole = !spoiled.some(({ part }) => part === LEDGER);
    for (const { name } of table.entries)
      if (isWhole && name !== LEDGER && !this.#checked.has(name))
        this.#findings.add("archive", null, `The archive holds ${name}, which its ledger does not name.`);
    if (table.head.seq !== chain.head.seq || table.head.hash !== chain.head.hash)
      this.#findings.add(
        "archive",
        null,
        `The archive's ledger ends at record ${chain.head.seq}; its table of contents names record ${table.head.seq}.`,
      );
    const digest = spoiled.find(({ part }) => part === "digest");
    if (digest !== undefined && this.#findings.total === 0 && chain.ok)
      this.#findings.add("archive", null, `${capital(digest.detail)}: one of the two was changed.`);
  }

  #spans(): ProvableSpan[] {
    const spans: ProvableSpan[] = [];
    for (const { version, made, weights, optimizer } of this.#accounting.points.values()) {
      if (made.by === "beginning") continue;
      // A version that was made by rolling back is another one's bytes.
      if (made.by === "roll-back") {
        addToSpans(spans, version, spans.at(-1)?.provable ?? "recompute");
        continue;
      }
      const blobs = [weights, optimizer, made.base.weights, made.base.optimizer];
      const states = (this.#countedBy.get(version) ?? []).map((sha256) => this.#absent.get(sha256));
      if (states.includes("broken") || blobs.some((blob) => blob !== null && this.#lost.has(blob.sha256)))
        addToSpans(spans, version, "broken");
      else addToSpans(spans, version, states.includes("given-up") ? "given-up" : "recompute");
    }
    return spans;
  }

  #verdict(chain: ChainReport, samples: SampleCount | null): Verification {
    const { created, tip, points, totals } = this.#accounting;
    const findings = this.#findings.listWith(chain);
    const ok = findings.length === 0;
    const base = { run: this.#source.run, head: chain.head, findings, found: this.#findings.total + chain.findings.length };
    if (created === null || tip === null) return { ...base, ok: false, name: null, newest: null, proved: [], spans: [], figures: null };
    const spans = this.#spans();
    const { kept, givenUp, blobs, sizeBytes, shards } = this.#totals;
    const { counted, abandoned, waiting, volunteers } = totals;
    const figures = {
      records: chain.records,
      signedHeads: chain.signedHeads,
      keys: chain.keys,
      keyExpected: this.#options.key !== undefined,
      newest: tip.version,
      undone: rangesOf(undoneVersions(points.keys(), tip)),
      contributions: { admitted: counted + abandoned + waiting, kept, givenUp, volunteers },
      accounting: { counted, abandoned, waiting },
      samples,
      blobs: { count: blobs, sizeBytes },
      data: this.#source.data,
      shards,
    };
    // Where bytes are gone or spoiled, the versions that do not need them stand as they stood.
    const proved = ok
      ? statements({ spec: created.spec, spans, ...figures })
      : findings.every(({ code }) => ONLY_BYTES.has(code))
        ? spanStatements({ spec: created.spec, spans })
        : [];
    return { ...base, ok, name: created.spec.name, newest: tip.version, proved, spans, figures };
  }
}

const ONLY_BYTES: ReadonlySet<Finding["code"]> = new Set(["missing", "wrong-bytes", "archive"]);
const MANIFEST = "the data set's manifest";
const nameOf = ({ kind, sha256 }: NamedBytes): string => (kind === "blob" ? blobEntry(sha256) : contributionEntry(sha256));
