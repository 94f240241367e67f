// Which answers were admitted lately, and to which version: a volunteer that lost its acknowledgement, perhaps across a restart, hears the same
// verdict again.
// Folded from the ledger like everything else; older answers are forgotten.
import type { ContributionHeader, LedgerRecord } from "@weft/protocol";
import { REMEMBERED_VERDICTS } from "./limits.ts";

type Answer = Pick<ContributionHeader, "lease" | "attempt" | "volunteer" | "sha256">;
const keyOf = ({ lease, attempt, volunteer, sha256 }: Answer): string => `${lease}/${attempt}/${volunteer}/${sha256}`;

export class Verdicts {
  readonly #admitted = new Map<string, number>();
  /** The version in which what is admitted now is counted. */
  #counting = 0;

  onRecord({ event }: LedgerRecord): void {
    if (event.type === "run-created") this.#counting = (event.origin?.version ?? 0) + 1;
    else if (event.type === "version-published" || event.type === "run-rolled-back") this.#counting = event.version + 1;
    else if (event.type === "round-closing") this.#counting = event.base + 2;
    if (event.type !== "contribution-admitted") return;
    this.#admitted.set(keyOf(event.header), this.#counting);
    if (this.#admitted.size <= REMEMBERED_VERDICTS) return;
    const oldest = this.#admitted.keys().next().value;
    if (oldest !== undefined) this.#admitted.delete(oldest);
  }

  clear(): void {
    this.#admitted.clear();
  }

  /** The version that this very answer is part of; undefined where it was not admitted, or long ago. */
  get(answer: Answer): number | undefined {
    return this.#admitted.get(keyOf(answer));
  }
}
