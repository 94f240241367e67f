// Which answers were admitted lately: a volunteer that lost its acknowledgement, perhaps across a restart, hears the same verdict again.
// Folded from the ledger like everything else; older answers are forgotten.
import type { ContributionHeader, LedgerRecord } from "@weft/protocol";
import { leaseBase } from "@weft/training";
import { REMEMBERED_VERDICTS } from "./limits.ts";

type Answer = Pick<ContributionHeader, "lease" | "attempt" | "volunteer" | "sha256">;
const keyOf = ({ lease, attempt, volunteer, sha256 }: Answer): string => `${lease}/${attempt}/${volunteer}/${sha256}`;

export class Verdicts {
  readonly #admitted = new Set<string>();

  onRecord({ event }: LedgerRecord): void {
    if (event.type !== "contribution-admitted") return;
    this.#admitted.add(keyOf(event.header));
    if (this.#admitted.size <= REMEMBERED_VERDICTS) return;
    const oldest = this.#admitted.values().next().value;
    if (oldest !== undefined) this.#admitted.delete(oldest);
  }

  clear(): void {
    this.#admitted.clear();
  }

  /** The version that this very answer is part of; undefined where it was not admitted, or long ago. */
  get(answer: Answer): number | undefined {
    return this.#admitted.has(keyOf(answer)) ? leaseBase(answer.lease) + 1 : undefined;
  }
}
