// What an audit found wrong, each with its place. Knows no checks.
import type { ChainFault, ChainReport } from "@weft/ledger";
import type { Sha256 } from "@weft/protocol";

export type FindingCode =
  | ChainFault
  /** A part of the archive file that the ledger does not name, or that spoils reading it. */
  | "archive"
  /** Bytes that the ledger names and that should be here are not. */
  | "missing"
  /** Bytes that are here are not those that the ledger names. */
  | "wrong-bytes"
  /** A contribution's header is not signed by the volunteer that it names. */
  | "volunteer-signature"
  /** An event that cannot stand where it stands. */
  | "impossible"
  /** Versions, rounds, leases, samples or weights do not add up. */
  | "accounting";

export interface Finding {
  readonly code: FindingCode;
  /** The record of the ledger that it is about, or that names the bytes; null where no record can be named. */
  readonly seq: number | null;
  /** The bytes that it is about. */
  readonly sha256: Sha256 | null;
  /** A sentence for people. */
  readonly detail: string;
}

const placeOf = ({ seq }: Finding): number => seq ?? Number.MAX_SAFE_INTEGER;

/** A run with more faults than this is not worth listing. */
const MAX_FINDINGS = 200;

export class Findings {
  readonly #list: Finding[] = [];
  #total = 0;

  add(code: FindingCode, seq: number | null, detail: string, sha256: Sha256 | null = null): void {
    this.#total += 1;
    if (this.#list.length < MAX_FINDINGS) this.#list.push({ code, seq, sha256, detail });
  }
  /** All that were added, listed or not. */
  get total(): number {
    return this.#total;
  }
  has(seq: number): boolean {
    return this.#list.some((finding) => finding.seq === seq);
  }
  /** With those of the chain, by place in the ledger; what has none comes last. */
  listWith({ findings }: ChainReport): readonly Finding[] {
    const chain = findings.map(({ seq, fault, detail }): Finding => ({ code: fault, seq, sha256: null, detail }));
    return [...chain, ...this.#list].toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}
