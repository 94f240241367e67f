// The hash chain: events become records, each bound to the one before; heads are signed where a reader must be able to trust them.
// Knows nothing of disks, nor of which events should happen.
import type { EventOf, LedgerEvent, LedgerRecord, RunId, Sha256, Signature } from "@weft/protocol";
import { canonicalBytes } from "./canonical.ts";
import { fromHex, sha256 } from "./hash.ts";
import { SIGNING_DOMAINS } from "./signatures.ts";

/** The last record of a ledger, as far as the next one needs it. `seq` is -1 where there is none yet. */
export interface LedgerHead {
  readonly run: RunId;
  readonly seq: number;
  readonly hash: Sha256;
}
export type SignHead = (domain: string, value: unknown) => Signature;

const ZERO_HASH: Sha256 = "0".repeat(64);

export const emptyHead = (run: RunId): LedgerHead => ({ run, seq: -1, hash: ZERO_HASH });
export const headAfter = (run: RunId, record: LedgerRecord): LedgerHead => ({ run, seq: record.seq, hash: record.hash });

/** Those that make a version, and those after which another key signs. */
export type SignedEvent = EventOf<"run-created" | "run-adopted" | "version-published" | "run-rolled-back">;
/** True where the coordinator signs the head: a reader starts from these. */
export const isSignedEvent = (event: LedgerEvent): event is SignedEvent => SIGNED.has(event.type);
const SIGNED: ReadonlySet<string> = new Set<SignedEvent["type"]>(["run-created", "run-adopted", "version-published", "run-rolled-back"]);

/** SHA-256 over the previous hash's 32 bytes followed by the canonical JSON of { seq, atMs, event }. */
export const recordHash = (previous: Sha256, seq: number, atMs: number, event: LedgerEvent): Sha256 =>
  sha256(fromHex(previous), canonicalBytes({ seq, atMs, event }));

/** What a head's signature covers, under the domain `weft-ledger-head-1`. */
export const signedHead = (run: RunId, seq: number, hash: Sha256) => ({ run, seq, hash });

/**
 * Chains events onto a head, in order, all at the same time. Without `sign` no record carries a signature, which `verifyChain`
 * reports; only tests and tools that do not hold the coordinator's key leave it out.
 */
export function appendRecords(head: LedgerHead, events: readonly LedgerEvent[], atMs: number, sign?: SignHead): LedgerRecord[] {
  let { seq, hash } = head;
  return events.map((event) => {
    seq += 1;
    hash = recordHash(hash, seq, atMs, event);
    const signature = sign !== undefined && isSignedEvent(event) ? sign(SIGNING_DOMAINS.ledgerHead, signedHead(head.run, seq, hash)) : null;
    return { seq, atMs, event, hash, signature };
  });
}
