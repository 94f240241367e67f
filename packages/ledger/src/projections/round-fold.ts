// The open round and the assignments of the last ones in time, folded from the ledger. Knows nothing of why a lease was given.
import type { AssignmentSpan, EventOf, LeaseId, LeaseView, LedgerEvent, RoundView, RunPhase, VolunteerId } from "@weft/protocol";
import type { LiveOverlay } from "./live.ts";
import { createRecent } from "./series.ts";

interface Held {
  readonly attempt: number;
  readonly volunteer: VolunteerId;
  readonly deadlineAtMs: number;
}
interface Lease {
  readonly lease: LeaseId;
  readonly samples: number;
  settledBy: VolunteerId | null;
  /** Live assignments, oldest first. */
  held: Held[];
}
interface Round {
  readonly base: number;
  readonly samples: number;
  readonly openedAtMs: number;
  samplesIn: number;
  readonly leases: Map<LeaseId, Lease>;
}
type Span = { -readonly [K in keyof AssignmentSpan]: AssignmentSpan[K] };

/** Enough for the picture of the last rounds. */
const MAX_SPANS = 400;

export interface RoundFold {
  apply(event: LedgerEvent, atMs: number): void;
  /** Whether this attempt is live; an answer to it then ends it without an event of its own. */
  wasLive(lease: LeaseId, attempt: number): boolean;
  view(
    live: LiveOverlay,
    run: { readonly phase: RunPhase; readonly version: number; readonly sinceMs: number; readonly batch: number },
  ): RoundView;
  spans(): AssignmentSpan[];
}

export function createRoundFold(): RoundFold {
  let round: Round | null = null;
  const spans = createRecent<Span>(MAX_SPANS);
  /** Spans of the open round, so that a late answer finds the one it belongs to. */
  const spanOf = new Map<string, Span>();
  const keyOf = (lease: LeaseId, attempt: number): string => `${lease}#${attempt}`;

  const endSpan = (key: string, atMs: number, end: AssignmentSpan["end"]): void => {
    const span = spanOf.get(key);
    if (span === undefined) return;
    span.toMs = atMs;
    span.end = end;
  };

  const assign = (event: EventOf<"lease-assigned">, atMs: number): void => {
    if (round === null) return;
    const { lease: id, attempt, volunteer, samples, deadlineAtMs } = event;
    const lease = round.leases.get(id) ?? { lease: id, samples, settledBy: null, held: [] };
    lease.held.push({ attempt, volunteer, deadlineAtMs });
    round.leases.set(id, lease);
    const span: Span = { lease: id, volunteer, fromMs: atMs, toMs: null, end: null };
    spanOf.set(keyOf(id, attempt), span);
    spans.add(span);
  };

  const drop = (id: LeaseId, attempt: number): void => {
    const lease = round?.leases.get(id);
    if (lease !== undefined) lease.held = lease.held.filter((held) => held.attempt !== attempt);
  };

  return {
    apply(event, atMs) {
      switch (event.type) {
        case "round-opened":
          round = { base: event.base, samples: event.samples, openedAtMs: atMs, samplesIn: 0, leases: new Map() };
          return;
        case "lease-assigned":
          assign(event, atMs);
          return;
        case "assignment-ended":
          drop(event.lease, event.attempt);
          endSpan(keyOf(event.lease, event.attempt), atMs, endOf(event.reason));
          return;
        case "contribution-admitted": {
          const { lease: id, attempt, volunteer } = event.header;
          const lease = round?.leases.get(id);
          if (round !== null && lease !== undefined) {
            lease.settledBy = volunteer;
            round.samplesIn += lease.samples;
          }
          drop(id, attempt);
          endSpan(keyOf(id, attempt), atMs, "admitted");
          return;
        }
        case "version-published":
        case "run-rolled-back":
          round = null;
          spanOf.clear();
          return;
        default:
      }
    },
    wasLive: (lease, attempt) => round?.leases.get(lease)?.held.some((held) => held.attempt === attempt) ?? false,
    view(live, { phase, version, sinceMs, batch }) {
      const { reason } = live;
      if (round === null) return { version, phase: "waiting", openedAtMs: sinceMs, samplesIn: 0, samplesWanted: batch, leases: [], reason };
      const { base, openedAtMs, samplesIn, samples } = round;
      return {
        version: base + 1,
        phase: phase !== "running" ? "waiting" : samplesIn === samples ? "closing" : "collecting",
        openedAtMs,
        samplesIn,
        samplesWanted: samples,
        leases: [...round.leases.values()].map((lease) => viewOf(lease, live)),
        reason,
      };
    },
    spans: () => spans.items().map((span) => ({ ...span })),
  };
}

function viewOf({ lease, samples, settledBy, held }: Lease, live: LiveOverlay): LeaseView {
  if (settledBy !== null) return { lease, samples, state: "in", volunteer: settledBy, progress: 1, deadlineAtMs: null };
  const newest = held.at(-1);
  if (newest === undefined) return { lease, samples, state: "waiting", volunteer: null, progress: 0, deadlineAtMs: null };
  // Of several side by side the one that is furthest says how far the lease is.
  const progress = Math.max(...held.map(({ attempt }) => live.progress(lease, attempt)));
  return { lease, samples, state: "out", volunteer: newest.volunteer, progress, deadlineAtMs: newest.deadlineAtMs };
}

function endOf(reason: EventOf<"assignment-ended">["reason"]): AssignmentSpan["end"] {
  switch (reason) {
    case "expired":
    case "released":
    case "refused":
      return reason;
    case "left":
    case "settled-by-another":
    case "round-closed":
    case "rolled-back":
    case "blocked":
      return "other";
    default:
      return reason satisfies never;
  }
}
