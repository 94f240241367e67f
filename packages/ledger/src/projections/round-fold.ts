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
  /** The base of each attempt, by its number less one. */
  readonly bases: number[];
  /** Live assignments, oldest first. */
  held: Held[];
}
interface Round {
  readonly base: number;
  readonly samples: number;
  readonly openedAtMs: number;
  samplesIn: number;
  isClosing: boolean;
  readonly leases: Map<LeaseId, Lease>;
}
type Span = { -readonly [K in keyof AssignmentSpan]: AssignmentSpan[K] };

/** Enough for the picture of the last rounds. */
const MAX_SPANS = 400;

export interface RoundFold {
  apply(event: LedgerEvent, atMs: number): void;
  /** Whether this attempt is live; an answer to it then ends it without an event of its own. */
  wasLive(lease: LeaseId, attempt: number): boolean;
  /** The version that this attempt is computed on; null where there is no such lease. */
  baseOf(lease: LeaseId, attempt: number): number | null;
  view(
    live: LiveOverlay,
    run: { readonly phase: RunPhase; readonly version: number; readonly sinceMs: number; readonly batch: number },
  ): RoundView;
  spans(): AssignmentSpan[];
}

export function createRoundFold(): RoundFold {
  let round: Round | null = null;
  /** Leases that go on from one round to the next. */
  let carried = new Map<LeaseId, Lease>();
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
    const lease = round.leases.get(id) ?? { lease: id, samples, settledBy: null, bases: [], held: [] };
    lease.bases.push(event.base ?? round.base);
    lease.held.push({ attempt, volunteer, deadlineAtMs });
    round.leases.set(id, lease);
    const span: Span = { lease: id, volunteer, fromMs: atMs, toMs: null, end: null };
    spanOf.set(keyOf(id, attempt), span);
    spans.add(span);
  };

  const leaseOf = (id: LeaseId): Lease | undefined => (round?.leases ?? carried).get(id);
  const drop = (id: LeaseId, attempt: number): void => {
    const lease = leaseOf(id);
    if (lease !== undefined) lease.held = lease.held.filter((held) => held.attempt !== attempt);
  };

  return {
    apply(event, atMs) {
      switch (event.type) {
        case "round-opened":
          round = { base: event.base, samples: event.samples, openedAtMs: atMs, samplesIn: 0, isClosing: false, leases: carried };
          for (const { settledBy, samples } of carried.values()) if (settledBy !== null) round.samplesIn += samples;
          carried = new Map();
          return;
        case "round-closing":
          if (round !== null) round.isClosing = true;
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
        case "version-published": {
          // A round that named what it closes with goes on without that; another took the whole of its batch.
          if (round?.isClosing === true) carried = round.leases;
          for (const { lease } of event.contributions) {
            const gone = carried.get(lease);
            for (const attempt of gone?.bases.keys() ?? []) spanOf.delete(keyOf(lease, attempt + 1));
            carried.delete(lease);
          }
          if (carried.size === 0) spanOf.clear();
          round = null;
          return;
        }
        case "run-finished":
        case "run-rolled-back":
          round = null;
          carried = new Map();
          spanOf.clear();
          return;
        default:
      }
    },
    wasLive: (lease, attempt) => leaseOf(lease)?.held.some((held) => held.attempt === attempt) ?? false,
    baseOf: (lease, attempt) => leaseOf(lease)?.bases[attempt - 1] ?? null,
    view(live, { phase, version, sinceMs, batch }) {
      const { reason } = live;
      if (round === null) return { version, phase: "waiting", openedAtMs: sinceMs, samplesIn: 0, samplesWanted: batch, leases: [], reason };
      const { base, openedAtMs, samplesIn, samples, isClosing, leases } = round;
      // Where no batch is fixed, what is in hand stands for it.
      const inHand = [...leases.values()].reduce((sum, lease) => sum + lease.samples, 0);
      return {
        version: base + 1,
        phase: phase !== "running" ? "waiting" : isClosing || (samples > 0 && samplesIn === samples) ? "closing" : "collecting",
        openedAtMs,
        samplesIn,
        samplesWanted: samples > 0 ? samples : inHand,
        leases: [...leases.values()].map((lease) => viewOf(lease, live)),
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
