// Folds events into a run's state. No clock, no randomness, no judgement: whatever was decided stands in the event.
// Seen from outside it is a pure function of the events so far; inside it changes the state it owns in place, since copying a
// round for each of 100,000 events would make recovery slow. Whoever needs an older state folds again.
import {
  type AbandonedContribution,
  type BlobRef,
  type DeltaStep,
  type EventOf,
  type LedgerEvent,
  type LedgerRecord,
  MAX_DELTAS,
  type VolunteerId,
} from "@weft/protocol";
import { hasDeltas } from "./downlink.ts";
import { abandonedOf, inCanonicalOrder } from "./endings.ts";
import { concernedBy, leadsTo, leaseStanding, type MachineName, standingOf } from "./machine.ts";
import { isCheckpointDue, isEvaluationDue } from "./owed.ts";
import { fillsQuorum } from "./rounds.ts";
import {
  baseOf,
  bookOf,
  hasLocalSteps,
  isEstablished,
  type LeaseBook,
  type LeaseState,
  liveAssignments,
  pointOf,
  type RoundState,
  type RunState,
  stalenessOf,
  type VolunteerState,
} from "./state.ts";
import { mergedRanges, positionsOf, withoutFirst } from "./stream-ranges.ts";
import { visitSamples } from "./visits.ts";

/** A ledger that no coordinator can have written: damaged, or a mistake of the one who decided. */
export class ImpossibleEvent extends Error {
  constructor(event: LedgerEvent, why: string) {
    super(`${event.type} cannot follow: ${why}`);
    this.name = "ImpossibleEvent";
  }
}

/** A run at its first version, before its first round; the first tick opens it. */
export function initialState(created: EventOf<"run-created">, atMs: number): RunState {
  const { run, spec, dataset, parameters, coordinator, weights, clients, origin } = created;
  const version = origin?.version ?? 0;
  return {
    run,
    spec,
    dataset,
    parameters,
    coordinator,
    createdAtMs: atMs,
    phase: "running",
    version,
    weights,
    deltas: [],
    optimizer: origin?.optimizer ?? null,
    position: origin?.position ?? 0,
    steps: origin?.steps ?? 0,
    pending: origin?.pending ?? [],
    round: null,
    carried: null,
    clients: clients ?? null,
    lastSettled: new Map(),
    volunteers: new Map(),
    present: 0,
    establishedPresent: 0,
    owed: { evaluations: new Map([[version, weights]]), checkpoints: new Map() },
  };
}

/** The state after one more event, which is the given object: use only what is returned. Throws ImpossibleEvent; then the state is of no use. */
export function evolve(state: RunState, event: LedgerEvent, atMs: number): RunState {
  const machines = concernedBy(event.type);
  const before: (string | null)[] = [];
  for (const machine of machines) {
    const from = standingOf(machine, state, event);
    if (from !== null) demand(event, machine, from);
    before.push(from);
  }
  apply(state, event, atMs);
  for (const [index, machine] of machines.entries()) {
    const from = before[index];
    const to = standingOf(machine, state, event);
    if (typeof from === "string" && to !== null && !leadsTo(machine, from, event.type)?.includes(to))
      throw new ImpossibleEvent(event, `it would lead the ${machine} from ${from} to ${to}`);
  }
  return state;
}

function demand(event: LedgerEvent, machine: MachineName, from: string): void {
  if (leadsTo(machine, from, event.type) === null)
    throw new ImpossibleEvent(event, from === "none" ? `there is no ${machine}` : `the ${machine} is ${from}`);
}

function apply(state: RunState, event: LedgerEvent, atMs: number): void {
  switch (event.type) {
    case "run-created":
      throw new ImpossibleEvent(event, "the run exists");
    case "run-adopted":
      state.coordinator = event.coordinator;
      return;
    case "run-paused":
      state.phase = "paused";
      return;
    case "run-resumed":
      state.phase = "running";
      return;
    case "run-stopped":
      abandonRound(state, event, event.abandoned);
      state.phase = "stopped";
      return;
    case "run-finished":
      finish(state, event);
      return;
    case "run-rolled-back":
      rollBack(state, event);
      return;
    case "volunteer-joined":
      change(state, event.volunteer, (volunteer) => {
        volunteer.present = true;
        volunteer.joinedAtMs = atMs;
      });
      return;
    case "volunteer-left":
      change(state, event.volunteer, (volunteer) => {
        volunteer.present = false;
      });
      forgetStranger(state, event.volunteer);
      return;
    case "volunteer-blocked":
    case "volunteer-unblocked":
      change(state, event.volunteer, (volunteer) => {
        volunteer.blocked = event.type === "volunteer-blocked";
      });
      forgetStranger(state, event.volunteer);
      return;
    case "round-opened":
      state.round = openRound(state, event, atMs);
      return;
    case "lease-assigned":
      assign(state, event, atMs);
      return;
    case "assignment-ended":
      endAssignment(state, event, atMs);
      return;
    case "contribution-admitted":
      admit(state, event, atMs);
      return;
    case "contribution-refused":
      return;
    case "version-published":
      publish(state, event);
      return;
    case "round-closing":
      beginClosing(state, event);
      return;
    case "version-evaluated":
      state.owed.evaluations.delete(event.version);
      return;
    case "checkpoint-written":
      state.owed.checkpoints.delete(event.version);
      return;
    default:
      event satisfies never;
  }
}

/** Folds a whole ledger. Null for an empty one; throws ImpossibleEvent where it does not begin with run-created. */
export function foldRun(records: Iterable<Pick<LedgerRecord, "event" | "atMs">>): RunState | null {
  let state: RunState | null = null;
  for (const { event, atMs } of records) {
    if (state !== null) evolve(state, event, atMs);
    else if (event.type === "run-created") state = initialState(event, atMs);
    else throw new ImpossibleEvent(event, "no run is created yet");
  }
  return state;
}

/** Changes one volunteer and keeps the two counts of who is present true. */
function change(state: RunState, id: VolunteerId, by: (volunteer: VolunteerState) => void): void {
  let volunteer = state.volunteers.get(id);
  if (volunteer === undefined) {
    volunteer = { volunteer: id, present: false, blocked: false, joinedAtMs: 0, leasesSettled: 0, open: [] };
    state.volunteers.set(id, volunteer);
  }
  count(state, volunteer, -1);
  by(volunteer);
  count(state, volunteer, 1);
}
function count(state: RunState, volunteer: VolunteerState, by: 1 | -1): void {
  if (!volunteer.present) return;
  state.present += by;
  if (isEstablished(volunteer)) state.establishedPresent += by;
}

/** Keys cost nothing to make, so one that came, did nothing and left leaves nothing behind in memory. */
function forgetStranger(state: RunState, id: VolunteerId): void {
  const volunteer = state.volunteers.get(id);
  if (volunteer === undefined || volunteer.present || volunteer.blocked || isEstablished(volunteer) || volunteer.open.length > 0) return;
  state.volunteers.delete(id);
}

function openRound(state: RunState, event: EventOf<"round-opened">, atMs: number): RoundState {
  const { base, start, samples, learningRate } = event;
  if (base !== state.version) throw new ImpossibleEvent(event, `the newest version is ${state.version}, not ${base}`);
  if (start !== state.position) throw new ImpossibleEvent(event, `the next position is ${state.position}, not ${start}`);
  if (hasLocalSteps(state) !== (samples === 0)) throw new ImpossibleEvent(event, `a round of ${samples} samples is none of this mode`);
  const book: LeaseBook = state.carried ?? {
    leases: new Map(),
    waiting: new Set(),
    out: new Set(),
    in: new Set(),
    pool: [...state.pending],
  };
  state.carried = null;
  let samplesIn = 0;
  for (const id of book.in) samplesIn += book.leases.get(id)?.samples ?? 0;
  return {
    ...book,
    base,
    start,
    samples,
    openedAtMs: atMs,
    learningRate,
    cut: 0,
    leasesCut: 0,
    samplesIn,
    closing: null,
    quorumAtMs: fillsQuorum(state.spec, book.in.size) ? atMs : null,
    givenBack: new Map(),
  };
}

function assign(state: RunState, event: EventOf<"lease-assigned">, atMs: number): void {
  const { round } = state;
  if (round === null) throw new ImpossibleEvent(event, "no round is open");
  const { lease: id, attempt, volunteer, deadlineAtMs } = event;
  const { version, spec } = state;
  if (event.base !== (hasLocalSteps(state) ? version : undefined))
    throw new ImpossibleEvent(event, `it is computed on version ${version}, not ${event.base}`);
  const codec = event.codec ?? spec.training.codec;
  if (codec === "auto") throw new ImpossibleEvent(event, "it names no codec");
  const lease = round.leases.get(id) ?? cutLease(state, round, event);
  if (lease.start !== event.start || lease.samples !== event.samples)
    throw new ImpossibleEvent(event, `lease ${id} is another piece of work`);
  if (attempt !== lease.assignments.length + 1) throw new ImpossibleEvent(event, `the next attempt is ${lease.assignments.length + 1}`);
  lease.assignments.push({ attempt, volunteer, assignedAtMs: atMs, deadlineAtMs, codec, base: baseOf(state), end: null });
  round.waiting.delete(id);
  round.out.add(id);
  change(state, volunteer, ({ open }) => {
    open.push({ lease: id, attempt });
  });
}

function cutLease(state: RunState, round: RoundState, event: EventOf<"lease-assigned">): LeaseState {
  const { lease: id, start, samples } = event;
  if (id !== nextLeaseId(round)) throw new ImpossibleEvent(event, `the next lease is ${nextLeaseId(round)}`);
  const length = positionsOf(state.spec, samples);
  const [given] = round.pool;
  const isNext =
    start === (given?.start ?? round.start + round.cut) && samples >= 1 && length <= (given?.length ?? Number.POSITIVE_INFINITY);
  if (!isNext || (round.samples > 0 && round.cut + samples > round.samples))
    throw new ImpossibleEvent(event, `lease ${id} is not the next part of its version's batch`);
  if (state.clients !== null && samples !== visitSamples(state, start))
    throw new ImpossibleEvent(event, `the client of position ${start} has other samples`);
  const lease: LeaseState = { lease: id, start, samples, assignments: [], settled: null, freeSinceMs: 0 };
  round.leases.set(id, lease);
  round.leasesCut += 1;
  if (given === undefined) round.cut += length;
  else round.pool = withoutFirst(round.pool, length);
  return lease;
}

/** Leases of a version are numbered in the order in which they are cut. */
export const nextLeaseId = (round: { readonly base: number; readonly leasesCut: number }): string => `${round.base}.${round.leasesCut}`;

function endAssignment(state: RunState, event: EventOf<"assignment-ended">, atMs: number): void {
  const { lease: id, attempt, reason } = event;
  const book = state.round ?? state.carried;
  const lease = book?.leases.get(id);
  const assignment = lease?.assignments[attempt - 1];
  if (book === null || lease === undefined || assignment?.volunteer !== event.volunteer)
    throw new ImpossibleEvent(event, "there is no such assignment");
  assignment.end = reason;
  closeOf(state, assignment.volunteer, id, attempt);
  const givenBack = state.round?.givenBack;
  if (givenBack !== undefined && (reason === "released" || reason === "refused"))
    givenBack.set(event.volunteer, { times: (givenBack.get(event.volunteer)?.times ?? 0) + 1, lastAtMs: atMs });
  if (lease.settled !== null || liveAssignments(lease).length > 0) return;
  lease.freeSinceMs = atMs;
  book.out.delete(id);
  book.waiting.add(id);
}

function closeOf(state: RunState, volunteer: VolunteerId, lease: string, attempt: number): void {
  change(state, volunteer, (holder) => {
    holder.open = holder.open.filter((open) => open.lease !== lease || open.attempt !== attempt);
  });
}

function admit(state: RunState, event: EventOf<"contribution-admitted">, atMs: number): void {
  const { lease: id, attempt, volunteer, sha256, codec, lossMean } = event.header;
  const { round } = state;
  const lease = round?.leases.get(id);
  const assignment = lease?.assignments[attempt - 1];
  if (round === null || lease === undefined || assignment?.volunteer !== volunteer)
    throw new ImpossibleEvent(event, "there is no such assignment");
  const { base } = assignment;
  if (lease.samples !== event.header.samples || event.header.base !== base.weights.sha256)
    throw new ImpossibleEvent(event, `lease ${id} is another piece of work`);
  if (stalenessOf(state, base.version) > state.spec.round.maxStaleness)
    throw new ImpossibleEvent(event, `version ${base.version} is too old a base`);
  lease.settled = { attempt, volunteer, sha256, codec, lossMean, base: base.version };
  // A late answer keeps the end it had.
  if (assignment.end === null) {
    assignment.end = "admitted";
    closeOf(state, volunteer, id, attempt);
  }
  round.samplesIn += lease.samples;
  round.waiting.delete(id);
  round.out.delete(id);
  round.in.add(id);
  if (round.quorumAtMs === null && fillsQuorum(state.spec, round.in.size)) round.quorumAtMs = atMs;
  change(state, volunteer, (contributor) => {
    contributor.leasesSettled += 1;
  });
}

function publish(state: RunState, event: EventOf<"version-published">): void {
  const { version, weights, delta, optimizer } = event;
  const { round } = state;
  if (delta !== undefined && !hasDeltas(state.spec)) throw new ImpossibleEvent(event, "the run's weights are published without deltas");
  if (round === null || version !== state.version + 1) throw new ImpossibleEvent(event, `the newest version is ${state.version}`);
  const ended = round.closing === null ? [...round.leases.values()] : closed(round, event);
  endLeases(state, event, ended);
  state.round = null;
  state.lastSettled = new Map();
  for (const { lease, settled } of ended) if (settled !== null) state.lastSettled.set(lease, settled);
  state.version = version;
  state.deltas = delta === undefined ? [] : cheaperThan(weights, [...state.deltas, { base: state.weights.sha256, delta }]);
  state.weights = weights;
  state.optimizer = optimizer;
  state.position = round.start + (round.closing === null ? round.samples : round.cut);
  state.steps += 1;
  if (round.closing !== null) carryOn(state, round);
  if (isEvaluationDue(state.spec, version, state.steps)) state.owed.evaluations.set(version, weights);
  if (isCheckpointDue(state.spec, version, state.steps)) state.owed.checkpoints.set(version, pointOf(state));
}

/** The newest of the deltas that together take fewer bytes than the whole weights. */
function cheaperThan({ sizeBytes }: BlobRef, deltas: readonly DeltaStep[]): readonly DeltaStep[] {
  let first = deltas.length;
  for (let left = sizeBytes; first > 0 && deltas.length - first < MAX_DELTAS; first -= 1) {
    left -= (deltas[first - 1] as DeltaStep).delta.sizeBytes;
    if (left <= 0) break;
  }
  return deltas.slice(first);
}

/** The contributions of these, and no others, make the next version. */
function beginClosing(state: RunState, event: EventOf<"round-closing">): void {
  const { round } = state;
  if (round === null || event.base !== round.base || !hasLocalSteps(state)) throw new ImpossibleEvent(event, "there is no such round");
  const admitted = inCanonicalOrder([...round.in].flatMap((id) => round.leases.get(id) ?? []));
  if (admitted.length !== event.leases.length || !admitted.every(({ lease }, index) => lease === event.leases[index]))
    throw new ImpossibleEvent(event, "it does not name the admitted contributions of the open round");
  round.closing = event.leases;
  round.in.clear();
  round.samplesIn = 0;
}

function closed({ closing, leases }: RoundState, event: EventOf<"version-published">): LeaseState[] {
  const ids = closing ?? [];
  if (event.contributions.length !== ids.length || !event.contributions.every(({ lease }, index) => lease === ids[index]))
    throw new ImpossibleEvent(event, "it does not count what its round closed with");
  return ids.flatMap((id) => leases.get(id) ?? []);
}

/** What is not counted now goes on to the next round, and stands with the version as what it leaves behind. */
function carryOn(state: RunState, { leases, waiting, out, in: settled, pool, closing }: RoundState): void {
  for (const id of closing ?? []) leases.delete(id);
  state.carried = { leases, waiting, out, in: settled, pool };
  const given = Array.from(leases.values(), ({ start, samples }) => ({ start, length: positionsOf(state.spec, samples) }));
  state.pending = mergedRanges([...pool, ...given]);
}

/** What is not settled is computed by nobody any more. */
function finish(state: RunState, event: EventOf<"run-finished">): void {
  endLeases(state, event, state.carried?.leases.values() ?? []);
  state.carried = null;
  state.phase = "finished";
}

function rollBack(state: RunState, event: EventOf<"run-rolled-back">): void {
  const { version, to, weights, optimizer, position, steps, pending = [], abandoned } = event;
  if (version !== state.version + 1 || to >= state.version) throw new ImpossibleEvent(event, `the newest version is ${state.version}`);
  abandonRound(state, event, abandoned);
  if (state.phase === "finished") state.phase = "paused";
  state.version = version;
  state.weights = weights;
  state.deltas = [];
  state.optimizer = optimizer;
  state.position = position;
  state.steps = steps;
  state.pending = pending;
  // What was owed to versions that are undone now is of no use.
  for (const owed of [state.owed.evaluations, state.owed.checkpoints])
    for (const undone of owed.keys()) if (undone > to) owed.delete(undone);
  state.owed.evaluations.set(version, weights);
}

/** Gives the round up. Each admitted contribution of it must be named, in canonical order; absent where an old ledger did not name them. */
function abandonRound(
  state: RunState,
  event: EventOf<"run-stopped" | "run-rolled-back">,
  abandoned: readonly AbandonedContribution[] | undefined,
): void {
  const admitted = abandonedOf(state);
  const same =
    abandoned === undefined ||
    (abandoned.length === admitted.length &&
      abandoned.every(({ lease, sha256 }, index) => admitted[index]?.lease === lease && admitted[index]?.sha256 === sha256));
  if (!same) throw new ImpossibleEvent(event, "it does not name the admitted contributions of the open round");
  endLeases(state, event, (bookOf(state)?.leases.values() as Iterable<LeaseState> | undefined) ?? []);
  state.round = null;
  state.carried = null;
  state.lastSettled = new Map();
}

/** These leases are no more. Gives nobody anything: whoever still holds one holds it no longer. */
function endLeases(state: RunState, event: LedgerEvent, leases: Iterable<LeaseState>): void {
  for (const lease of leases) {
    const standing = leaseStanding(lease);
    demand(event, "lease", standing);
    if (!leadsTo("lease", standing, event.type)?.includes("none")) throw new ImpossibleEvent(event, `lease ${lease.lease} is ${standing}`);
    // Normally none is live; after a crash in the middle of a decision one may be, and must not count against its holder for ever.
    for (const { volunteer, attempt } of liveAssignments(lease)) closeOf(state, volunteer, lease.lease, attempt);
  }
}
