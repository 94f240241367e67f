// Reads a ledger as a stranger would: every record's form, place, hash and signature, with the place of each fault.
// Believes nothing it is given, and does not recompute weights.
import { LedgerRecord, type RunId, Sha256, type VolunteerId } from "@weft/protocol";
import { emptyHead, isSignedEvent, type LedgerHead, recordHash, signedHead } from "./chain.ts";
import { SIGNING_DOMAINS, verifySignature } from "./signatures.ts";

export type ChainFault =
  | "malformed"
  | "gap"
  | "broken-hash"
  | "missing-signature"
  | "bad-signature"
  | "unexpected-signature"
  | "bad-beginning"
  | "wrong-key";
export interface ChainFinding {
  readonly seq: number;
  readonly fault: ChainFault;
  /** A sentence for people. */
  readonly detail: string;
}
export interface ChainReport {
  readonly ok: boolean;
  /** Whose key signs the heads from which record on: one, and one more for each coordinator that took the run over. */
  readonly keys: readonly { readonly fromSeq: number; readonly key: VolunteerId }[];
  readonly records: number;
  readonly signedHeads: number;
  readonly head: LedgerHead;
  /** In the order of the ledger, at most MAX_FINDINGS of them. */
  readonly findings: readonly ChainFinding[];
}

/** A ledger with more faults than this is not worth listing. */
const MAX_FINDINGS = 100;

/**
 * Checks a ledger record by record; memory does not grow with its length. After a fault it goes on from the record's own word, so that one
 * changed record is one finding. `publicKey` is the key of the run's coordinator as known from elsewhere; without it the keys that the
 * ledger names are used, which proves only that the ledger agrees with itself. Where another coordinator took the run over, it is the
 * last one's: its heads vouch for all that stands before them.
 */
export async function verifyChain(
  run: RunId,
  records: Iterable<unknown> | AsyncIterable<unknown>,
  publicKey?: VolunteerId,
): Promise<ChainReport> {
  const verifier = createChainVerifier(run, publicKey);
  for await (const record of records) verifier.push(record);
  return verifier.report();
}

/** A malformed record may still say which hash the next one builds on. */
function claimedHash(raw: unknown): Sha256 | null {
  const hash = typeof raw === "object" && raw !== null && "hash" in raw ? Sha256.safeParse(raw.hash) : null;
  return hash?.success ? hash.data : null;
}

export interface ChainVerifier {
  push(record: unknown): void;
  report(): ChainReport;
}

/** `check`: a faster check of signatures where the platform has one. */
export function createChainVerifier(
  run: RunId,
  publicKey?: VolunteerId,
  check: (publicKey: VolunteerId, domain: string, value: unknown, signature: string) => boolean = verifySignature,
): ChainVerifier {
  const findings: ChainFinding[] = [];
  const keys: { readonly fromSeq: number; readonly key: VolunteerId }[] = [];
  let head = emptyHead(run);
  let records = 0;
  let signedHeads = 0;

  const find = (seq: number, fault: ChainFault, detail: string): void => {
    if (findings.length < MAX_FINDINGS) findings.push({ seq, fault, detail });
  };

  const checkBeginning = ({ seq, event }: LedgerRecord): void => {
    if (event.type === "run-adopted") keys.push({ fromSeq: seq, key: event.coordinator });
    if (event.type !== "run-created") {
      if (records === 0) find(seq, "bad-beginning", `The ledger begins with ${event.type} instead of run-created.`);
      return;
    }
    if (records > 0) find(seq, "bad-beginning", "A run is created a second time in the middle of its ledger.");
    if (event.run !== run) find(seq, "bad-beginning", `The ledger is of run ${event.run}, not of ${run}.`);
    keys.push({ fromSeq: seq, key: event.coordinator });
  };

  const checkSignature = (record: LedgerRecord): void => {
    const { seq, event, hash, signature } = record;
    const key = keys.at(-1)?.key ?? publicKey;
    if (!isSignedEvent(event)) {
      if (signature !== null) find(seq, "unexpected-signature", `A ${event.type} record carries a signature, which only heads do.`);
      return;
    }
    if (signature === null) {
      find(seq, "missing-signature", `The ${event.type} record is not signed.`);
    } else if (key !== undefined && check(key, SIGNING_DOMAINS.ledgerHead, signedHead(run, seq, hash), signature)) {
      signedHeads += 1;
    } else {
      find(seq, "bad-signature", "The head's signature is not of the coordinator's key over this record.");
    }
  };

  return {
    push(raw) {
      const parsed = LedgerRecord.safeParse(raw);
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        find(
          head.seq + 1,
          "malformed",
          `Not a ledger record: ${issue?.message ?? "unknown form"} at ${issue?.path.join(".") || "the top"}.`,
        );
        head = { run, seq: head.seq + 1, hash: claimedHash(raw) ?? head.hash };
        records += 1;
        return;
      }
      const record = parsed.data;
      if (record.seq !== head.seq + 1) find(record.seq, "gap", `Record ${record.seq} follows record ${head.seq}.`);
      checkBeginning(record);
      if (recordHash(head.hash, record.seq, record.atMs, record.event) !== record.hash)
        find(record.seq, "broken-hash", "The hash does not follow from the record before and this record's content.");
      checkSignature(record);
      head = { run, seq: record.seq, hash: record.hash };
      records += 1;
    },
    report() {
      const last = keys.at(-1);
      const detail = "The ledger names another coordinator key than the one it is checked against.";
      const wrongKey: ChainFinding[] =
        publicKey === undefined || last === undefined || last.key === publicKey ? [] : [{ seq: last.fromSeq, fault: "wrong-key", detail }];
      const found = [...wrongKey, ...findings].slice(0, MAX_FINDINGS);
      return { ok: found.length === 0 && records > 0, keys: [...keys], records, signedHeads, head, findings: found };
    },
  };
}
