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
 * changed record is one finding. `publicKey` is the coordinator's key as known from elsewhere; without it the key that run-created
 * names is used, which proves only that the ledger agrees with itself.
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

export function createChainVerifier(run: RunId, publicKey?: VolunteerId): ChainVerifier {
  const findings: ChainFinding[] = [];
  let head = emptyHead(run);
  let key = publicKey;
  let records = 0;
  let signedHeads = 0;

  const find = (seq: number, fault: ChainFault, detail: string): void => {
    if (findings.length < MAX_FINDINGS) findings.push({ seq, fault, detail });
  };

  const checkBeginning = ({ seq, event }: LedgerRecord): void => {
    if (event.type !== "run-created") {
      if (records === 0) find(seq, "bad-beginning", `The ledger begins with ${event.type} instead of run-created.`);
      return;
    }
    if (records > 0) find(seq, "bad-beginning", "A run is created a second time in the middle of its ledger.");
    if (event.run !== run) find(seq, "bad-beginning", `The ledger is of run ${event.run}, not of ${run}.`);
    key ??= event.coordinator;
    if (event.coordinator !== key) find(seq, "wrong-key", "The ledger names another coordinator key than the one it is checked against.");
  };

  const checkSignature = (record: LedgerRecord): void => {
    const { seq, event, hash, signature } = record;
    if (!isSignedEvent(event)) {
      if (signature !== null) find(seq, "unexpected-signature", `A ${event.type} record carries a signature, which only heads do.`);
      return;
    }
    if (signature === null) {
      find(seq, "missing-signature", `The ${event.type} record is not signed.`);
    } else if (key !== undefined && verifySignature(key, SIGNING_DOMAINS.ledgerHead, signedHead(run, seq, hash), signature)) {
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
    report: () => ({ ok: findings.length === 0 && records > 0, records, signedHeads, head, findings: [...findings] }),
  };
}
