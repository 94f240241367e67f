// The cloth beside the words: woven from the run's ledger, with a sheet of facts over it. Knows where to draw, not how.
import type { RunDetail } from "@weft/protocol";
import { type ReactNode, useEffect, useMemo, useRef } from "react";
import { openPick, wovenRow } from "../cloth/geometry.ts";
import { createLoom, type Loom, type LoomPicture } from "../cloth/loom.ts";
import type { ThreadState } from "../cloth/thread.ts";
import { weaveOf } from "../cloth/weaves.ts";
import { count, plural } from "../words/figures.ts";
import { people, quality } from "../words/run-words.ts";

/** More rows than any screen is high. */
const MOST_ROWS = 240;

interface Props {
  readonly detail: RunDetail | null;
  /** The reader's key, if it is known. */
  readonly volunteer: string | null;
  readonly thread: ThreadState;
  readonly children: ReactNode;
}

export const indexOfVolunteer = (detail: RunDetail | null, volunteer: string | null): number =>
  detail === null || volunteer === null ? -1 : detail.volunteers.findIndex((view) => view.volunteer === volunteer);

export function LoomView({ detail, volunteer, thread, children }: Props) {
  const host = useRef<HTMLElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const bed = useRef<HTMLElement>(null);
  const loom = useRef<Loom | null>(null);

  const mine = indexOfVolunteer(detail, volunteer);
  const cloth = detail?.cloth;
  const rows = useMemo(
    () =>
      (cloth ?? [])
        .slice(-MOST_ROWS)
        .reverse()
        .map((row) => wovenRow(row, mine)),
    [cloth, mine],
  );
  const run = detail?.run ?? "";
  const weave = useMemo(() => weaveOf(run), [run]);
  const picture: LoomPicture = {
    weave,
    rows,
    pick: detail === null || detail.phase !== "running" ? [] : openPick(detail.round, detail.volunteers, mine),
    checkpointEvery: detail?.spec.checkpoints.everyVersions ?? 50,
    thread,
  };
  const first = useRef(picture);

  useEffect(() => {
    if (host.current === null || canvas.current === null || bed.current === null) return;
    const made = createLoom(canvas.current, host.current, bed.current, first.current);
    loom.current = made;
    return () => {
      loom.current = null;
      made.dispose();
    };
  }, []);
  useEffect(() => {
    loom.current?.show(picture);
    loom.current?.measure();
  });

  const wovenByMe = mine >= 0 && rows.some((row) => row.stretches.some((part) => part.tint === 0));
  return (
    <section className="loom" aria-labelledby="head" ref={host}>
      <canvas ref={canvas} role="img" aria-label={storyOf(detail, wovenByMe)} />
      <div className="say">{children}</div>
      <figure className="bed" ref={bed}>
        {detail !== null && <Sheet detail={detail} />}
        <figcaption>
          {rows.length === 0 ? (
            "The warp is up; the first version will be the first row"
          ) : (
            <>
              A row is a version of the model; a stretch of it, one person’s share
              {wovenByMe && (
                <>
                  . <b className="own">Yours is red</b>
                </>
              )}
            </>
          )}
        </figcaption>
      </figure>
    </section>
  );
}

function storyOf(detail: RunDetail | null, wovenByMe: boolean): string {
  if (detail === null || detail.cloth.length === 0) return "A bare warp: no version has been woven yet.";
  return `A cloth in weaving. Each row is one version of the model; each stretch of a row is one person’s share of it. Version ${count(
    detail.version,
  )} is the newest; ${plural(detail.volunteersEver, "person has", "people have")} woven so far.${wovenByMe ? " Your stretches are red." : ""}`;
}

function Sheet({ detail }: { detail: RunDetail }) {
  const held = quality(detail);
  return (
    <dl className="sheet">
      <div>
        <dt>Run</dt>
        <dd>
          <b>{detail.name}</b>
        </dd>
      </div>
      <div>
        <dt>Version</dt>
        <dd>
          {count(detail.version)} of {count(detail.versions)}
        </dd>
      </div>
      <div>
        <dt>{held?.unit === "loss" ? "Loss, held-out" : "Held-out right"}</dt>
        <dd>{held?.value ?? "not yet"}</dd>
      </div>
      <div>
        <dt>Threads</dt>
        <dd>{people(detail.volunteersNow)}</dd>
      </div>
    </dl>
  );
}
