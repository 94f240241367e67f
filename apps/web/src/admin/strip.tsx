// The strip of figures under the round. Reads views only.
import type { RunDetail, VolunteerView } from "@weft/protocol";
import type { ReactNode } from "react";
import { useNow } from "../live/use-now.ts";
import { bytesFigure, clock, count, duration, rate } from "../words/figures.ts";

/** Median of the last staleness of those who are here, and the most ever seen. */
export function staleness(volunteers: readonly VolunteerView[]): { readonly median: number; readonly most: number } {
  const now = volunteers
    .filter((view) => view.present)
    .map((view) => view.stalenessLast)
    .sort((a, b) => a - b);
  const middle = (now.length - 1) / 2;
  const median = now.length === 0 ? 0 : ((now[Math.floor(middle)] ?? 0) + (now[Math.ceil(middle)] ?? 0)) / 2;
  return { median, most: volunteers.reduce((most, view) => Math.max(most, view.stalenessMax), 0) };
}

export const rejectedOf = (detail: Pick<RunDetail, "rejectedByCode">): number =>
  Object.values(detail.rejectedByCode).reduce((sum, value) => sum + value, 0);

function Cell({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Strip({ detail }: { detail: RunDetail }) {
  const nowMs = useNow(5_000);
  const { rates } = detail;
  const stale = staleness(detail.volunteers);
  const rejected = rejectedOf(detail);
  const all = detail.settled + rejected;
  const inward = bytesFigure(rates.bytesInPerSecond);
  const outward = bytesFigure(rates.bytesOutPerSecond);
  return (
    <dl className="strip">
      <Cell name="Version">
        {count(detail.version)}{" "}
        <small>
          {detail.version === detail.steps ? "" : `round ${count(detail.steps)} `}of {count(detail.versions)}
        </small>
      </Cell>
      <Cell name="Pace">
        {rate(rates.versionsPerMinute)} <small>a minute</small>
      </Cell>
      <Cell name="Samples">
        {rate(rates.samplesPerSecond)} <small>a second</small>
      </Cell>
      <Cell name="In / out">
        {inward.value} <small>{inward.unit}</small> / {outward.value} <small>{outward.unit} a second</small>
      </Cell>
      <Cell name="Volunteers">
        {count(detail.volunteersNow)} <small>of {count(detail.volunteersEver)} ever</small>
      </Cell>
      <Cell name="Staleness">
        {stale.median} <small>median, {count(stale.most)} most</small>
      </Cell>
      <Cell name="Rejected">
        {all === 0 ? "0" : ((100 * rejected) / all).toFixed(rejected === 0 ? 0 : 2)}{" "}
        <small>
          %, {count(rejected)} of {count(all)}
        </small>
      </Cell>
      <Cell name="Ends about">
        {rates.remainingMs === null || detail.phase !== "running" ? (
          <small>{detail.phase === "running" ? "no pace yet" : detail.phase}</small>
        ) : (
          <>
            {clock(nowMs + rates.remainingMs, false)} <small>in {duration(rates.remainingMs)}</small>
          </>
        )}
      </Cell>
    </dl>
  );
}
