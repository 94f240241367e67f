// Which leases of the last while are drawn, and in which lane. Pure; times are the coordinator's.
import type { AssignmentSpan, RunDetail } from "@weft/protocol";

export interface Lane {
  readonly volunteer: string;
  readonly spans: readonly AssignmentSpan[];
}
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Long enough for several leases of the run, and never longer than five minutes. */
export function windowOf(leaseMs: number, nowMs: number): Window {
  const pastMs = Math.min(300_000, Math.max(30_000, 8 * leaseMs));
  return { fromMs: nowMs - pastMs, toMs: nowMs };
}

/** Where the picture ends: now while the run is at work, else with the last thing that happened. */
export function endOf(detail: Pick<RunDetail, "phase" | "spans" | "versionPoints">, nowMs: number): number {
  if (detail.phase === "running") return nowMs;
  const last = detail.spans.reduce((most, span) => Math.max(most, span.toMs ?? span.fromMs), 0);
  return last === 0 ? nowMs : Math.min(nowMs, last);
}

/** One lane a volunteer with anything in the window, those with the newest lease first. */
export function lanesOf(spans: readonly AssignmentSpan[], { fromMs, toMs }: Window, most: number): readonly Lane[] {
  const lanes = new Map<string, AssignmentSpan[]>();
  for (const span of spans) {
    if ((span.toMs ?? toMs) < fromMs || span.fromMs > toMs) continue;
    const lane = lanes.get(span.volunteer);
    if (lane === undefined) lanes.set(span.volunteer, [span]);
    else lane.push(span);
  }
  const samples = [...lanes].map(([volunteer, own]) => ({ volunteer, spans: own }));
  const newest = (lane: Lane): number => lane.spans.reduce((last, span) => Math.max(last, span.fromMs), 0);
  return samples.sort((a, b) => b.spans.length - a.spans.length || newest(b) - newest(a)).slice(0, most);
}

/** Marks whose labels would stand nearer than `apartMs` to the one before are left out. */
export function thinned<T extends { readonly atMs: number }>(marks: readonly T[], apartMs: number): readonly T[] {
  let last = Number.NEGATIVE_INFINITY;
  return marks.filter((mark) => {
    if (mark.atMs - last < apartMs) return false;
    last = mark.atMs;
    return true;
  });
}
