// Leases as threads, a lane a volunteer: the bar is a lease in somebody's hands, the line between is waiting.
import type { AssignmentSpan, RunDetail } from "@weft/protocol";
import { useMemo, useRef } from "react";
import { useWidth } from "../app/use-width.ts";
import { useLive } from "../live/observer.ts";
import { useNow } from "../live/use-now.ts";
import { clock, count, duration, plural } from "../words/figures.ts";
import { nameOf, shortVolunteer } from "../words/run-words.ts";
import { endOf, type Lane, lanesOf, thinned, type Window, windowOf } from "./spans.ts";

const TOP = 20;
const LANE = 15;
/** Share of the width beyond now, where deadlines stand. */
const AHEAD = 0.06;

const KEY = (
  <div className="end key">
    <span>
      <svg viewBox="0 0 18 8" aria-hidden="true">
        <path d="M0 4h18" stroke="var(--thread-4)" strokeWidth="5" />
      </svg>
      a lease
    </span>
    <span>
      <svg viewBox="0 0 18 8" aria-hidden="true">
        <path d="M0 4h18" stroke="var(--line-control)" />
      </svg>
      wait
    </span>
    <span>
      <svg viewBox="0 0 18 8" aria-hidden="true">
        <path d="M5 0l8 8M13 0l-8 8" stroke="var(--fault)" strokeWidth="2" />
      </svg>
      refused or expired
    </span>
  </div>
);

const failed = (span: AssignmentSpan): boolean => span.end === "refused" || span.end === "expired";

export function LeaseSpans({ detail }: { detail: RunDetail }) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const nowMs = useNow(500) - useLive((live) => live.clockSkewMs);
  const window = windowOf(detail.spec.round.leaseMs, endOf(detail, nowMs));
  const slim = width < 500;
  const lanes = lanesOf(detail.spans, window, slim ? 10 : 24);
  const names = useMemo(() => new Map(detail.volunteers.map((view) => [view.volunteer, nameOf(view)])), [detail.volunteers]);
  const bad = detail.spans.filter((span) => failed(span) && (span.toMs ?? 0) >= window.fromMs).length;
  const label = `Leases of ${plural(lanes.length, "volunteer")} over ${duration(window.toMs - window.fromMs)}: ${plural(
    lanes.reduce((sum, lane) => sum + lane.spans.length, 0),
    "lease",
  )}, ${bad} refused or expired.`;
  return (
    <section className="sec" aria-labelledby="h-spans">
      <div className="sec-head">
        <h2 id="h-spans">Leases of the last rounds</h2>
        {KEY}
      </div>
      <div className="chart" ref={box}>
        {lanes.length === 0 ? (
          <p className="small quiet">Nobody has held a lease in the last {duration(window.toMs - window.fromMs)}.</p>
        ) : (
          width > 0 && <Picture {...{ detail, window, lanes, names, width, slim, label }} />
        )}
      </div>
    </section>
  );
}

interface PictureProps {
  readonly detail: RunDetail;
  readonly window: Window;
  readonly lanes: readonly Lane[];
  readonly names: ReadonlyMap<string, string>;
  readonly width: number;
  readonly slim: boolean;
  readonly label: string;
}
function Picture({ detail, window, lanes, names, width, slim, label }: PictureProps) {
  const left = slim ? 72 : 104;
  const right = (width - left) * (1 - AHEAD);
  const x = (atMs: number): number => left + (Math.max(0, atMs - window.fromMs) / (window.toMs - window.fromMs)) * right;
  const height = TOP + lanes.length * LANE + 8;
  const marks = thinned(
    detail.versionPoints.filter((point) => point.atMs > window.fromMs && point.atMs <= window.toMs - (slim ? 4_000 : 0)),
    ((window.toMs - window.fromMs) * 64) / right,
  ).filter((point) => x(window.toMs) - x(point.atMs) > 44);
  const end = x(window.toMs);
  return (
    <svg viewBox={`0 0 ${width} ${height}`} style={{ height }} role="img" aria-label={label}>
      {marks.map((point) => (
        <g key={point.version}>
          <line x1={x(point.atMs)} x2={x(point.atMs)} y1="14" y2={height} stroke="var(--line-firm)" />
          <text x={x(point.atMs)} y="10" textAnchor="middle">
            v{count(point.version)}
          </text>
        </g>
      ))}
      <rect x={end} y="14" width={width - end} height={height - 14} fill="var(--paper-sunk)" />
      <line x1={end} x2={end} y1="14" y2={height} stroke="var(--ink)" />
      <text x={end} y="10" textAnchor="middle" className="strong">
        {detail.phase === "running" ? "now" : clock(window.toMs, false)}
      </text>
      {lanes.map((lane, index) => {
        const y = TOP + index * LANE + LANE / 2;
        return (
          <g key={lane.volunteer}>
            <text x={left - 10} y={y + 4} textAnchor="end">
              {clipped(names.get(lane.volunteer) ?? shortVolunteer(lane.volunteer), slim ? 9 : 14)}
            </text>
            <line x1={left} x2={end} y1={y} y2={y} stroke="var(--line-firm)" />
            {lane.spans.map((span) => (
              <Bar key={`${span.lease} ${span.fromMs}`} span={span} from={x(span.fromMs)} to={x(span.toMs ?? window.toMs)} y={y} />
            ))}
          </g>
        );
      })}
    </svg>
  );
}

const clipped = (name: string, most: number): string => ([...name].length > most ? `${[...name].slice(0, most - 1).join("")}…` : name);

function Bar({ span, from, to, y }: { span: AssignmentSpan; from: number; to: number; y: number }) {
  const lost = span.end === "expired";
  const cross = `M${to - 3} ${y - 4}l8 8m0-8l-8 8`;
  return (
    <>
      <rect
        x={from}
        y={y - 3}
        width={Math.max(1.5, to - from - 1)}
        height="5"
        fill={lost ? "var(--paper)" : span.end === "refused" ? "var(--fault)" : "var(--thread-4)"}
        {...(lost ? { stroke: "var(--fault)", strokeDasharray: "2 2" } : {})}
      />
      {failed(span) && (
        <>
          <path d={cross} stroke="var(--paper)" strokeWidth="6" />
          <path d={cross} stroke="var(--fault)" strokeWidth="2" />
        </>
      )}
    </>
  );
}
