// Who wove a run: a bar of shares and the names behind it. The reader's own share is madder where the reader is known.
import type { RunDetail } from "@weft/protocol";
import type { CSSProperties } from "react";
import { useStore } from "zustand";
import { type Tint, tintOf } from "../cloth/geometry.ts";
import { lender } from "../lend/lender.ts";
import { count, percent } from "../words/figures.ts";
import { nameOf, people } from "../words/run-words.ts";

export interface Share {
  readonly key: string;
  readonly name: string;
  readonly share: number;
  /** 0 is the reader; null, everybody who is not named. */
  readonly tint: Tint | null;
}
const NAMED = 11;

/** Shares of all counted samples, largest first; the tail as one. */
export function sharesOf(volunteers: RunDetail["volunteers"], reader: string | null, named = NAMED): readonly Share[] {
  const all = volunteers.reduce((sum, view) => sum + view.samples, 0);
  if (all === 0) return [];
  const shares = volunteers
    .map((view, index) => ({
      key: view.volunteer,
      name: view.volunteer === reader ? `${nameOf(view)} (you)` : nameOf(view),
      share: view.samples / all,
      tint: view.volunteer === reader ? (0 as const) : tintOf(index),
    }))
    .filter((share) => share.share > 0)
    .sort((a, b) => b.share - a.share);
  if (shares.length <= named + 1) return shares;
  const tail = shares.slice(named);
  return [
    ...shares.slice(0, named),
    { key: "others", name: `${count(tail.length)} others`, share: tail.reduce((sum, one) => sum + one.share, 0), tint: null },
  ];
}

const inkOf = (tint: Tint | null): string =>
  tint === null ? "var(--line-firm)" : tint === 0 ? "var(--madder-fill)" : `var(--thread-${tint})`;

export function Contributors({ detail }: { detail: RunDetail }) {
  const reader = useStore(lender.store, ({ snapshot }) => snapshot?.volunteer ?? null);
  const shares = sharesOf(detail.volunteers, reader);
  return (
    <section className="sec" aria-labelledby="h-p">
      <div className="sec-head">
        <h2 id="h-p">
          {shares.length === 0 ? "Woven by nobody yet" : `Woven by ${people(detail.volunteers.filter((view) => view.samples > 0).length)}`}
        </h2>
      </div>
      {shares.length === 0 ? (
        <div className="bare few" />
      ) : (
        <>
          <div className="people" role="img" aria-label="Share of samples by person; the list follows">
            {shares.map((share) => (
              <i
                key={share.key}
                style={{ flex: share.share, "--c": inkOf(share.tint) } as CSSProperties}
                title={`${share.name}, ${percent(share.share)}`}
              />
            ))}
          </div>
          <ol className="names">
            {shares.map((share) => (
              <li key={share.key}>
                <span>{share.name}</span>
                <span>{percent(share.share)}</span>
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}
