// Random scripts of everything that can happen to a run of local steps, crashes in the middle of a decision included; after each step the
// promises are checked against bookkeeping of the test's own, made from the events alone. model.test.ts does the same where a batch is fixed.
import { f32FromHex, type LedgerEvent, MAX_OPEN_ASSIGNMENTS, type StreamRange } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDesk, type Desk, effectOf, key, localStepsOf, typesOf, verdictOf } from "../test/desk.ts";
import type { AssignmentGiven, Input } from "./inputs.ts";
import { samplesCounted } from "./schedule.ts";
import { bookOf, liveAssignments, pointOf } from "./state.ts";

const PEOPLE = 5;
const HONEST = 99;
const VERSIONS = 5;
const KINDS = [
  "join",
  "leave",
  "ask",
  "work",
  "answer",
  "forged",
  "release",
  "block",
  "unblock",
  "pause",
  "resume",
  "tick",
  "close",
  "roll-back",
] as const;
type Act = { readonly kind: (typeof KINDS)[number]; readonly who: number; readonly n: number };
type Step =
  | Act
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "crash"; readonly during: Act; readonly stored: number };

const actOf = (...kinds: (typeof KINDS)[number][]): fc.Arbitrary<Act> =>
  fc.record({ kind: fc.constantFrom(...kinds), who: fc.nat(PEOPLE - 1), n: fc.nat(7) });
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  { weight: 16, arbitrary: actOf("work") },
  { weight: 8, arbitrary: actOf("ask") },
  { weight: 8, arbitrary: actOf("answer") },
  { weight: 4, arbitrary: actOf("tick", "close", "join") },
  { weight: 3, arbitrary: actOf("leave", "release", "forged", "pause", "resume", "block", "unblock") },
  { weight: 1, arbitrary: actOf("roll-back") },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(100, 600, 5_000, 11_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), during: actOf(...KINDS), stored: fc.nat(3) }) },
);

const everyPosition = (ranges: readonly StreamRange[]): number[] =>
  ranges.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));

/** What the events promise, kept apart from the state machine. */
function createBook(maxStaleness: number) {
  const leases = new Map<string, { readonly start: number; readonly samples: number; readonly bases: number[] }>();
  const admitted = new Map<string, { readonly base: number; by: string | null }>();
  /** The positions that each version's weights have counted. */
  const counted: ReadonlySet<number>[] = [new Set()];
  const account = (lease: string, by: string): void => {
    const found = admitted.get(lease);
    expect(found?.by, `${by} names ${lease}, which is admitted and in nothing else`).toBeNull();
    if (found !== undefined) found.by = by;
  };
  const read = (event: LedgerEvent): void => {
    switch (event.type) {
      case "lease-assigned": {
        const { lease, start, samples, base = -1 } = event;
        expect(base, "who gets a lease gets the newest weights").toBe(counted.length - 1);
        const known = leases.get(lease) ?? { start, samples, bases: [] };
        expect(known).toMatchObject({ start, samples });
        known.bases.push(base);
        leases.set(lease, known);
        return;
      }
      case "contribution-admitted": {
        const { lease, attempt, samples } = event.header;
        expect(admitted.has(lease), `lease ${lease} is settled once`).toBe(false);
        expect(samples).toBe(leases.get(lease)?.samples);
        admitted.set(lease, { base: leases.get(lease)?.bases[attempt - 1] ?? -1, by: null });
        return;
      }
      case "version-published": {
        expect(event.version, "versions rise by one").toBe(counted.length);
        const next = new Set(counted.at(-1));
        let before = -1;
        let weights = 0;
        for (const { lease, samples, weight } of event.contributions) {
          account(lease, `version ${event.version}`);
          const { start } = leases.get(lease) as { readonly start: number };
          expect(start, "in canonical order").toBeGreaterThan(before);
          before = start;
          const staleness = event.version - 1 - (admitted.get(lease)?.base ?? -1);
          expect(staleness).toBeGreaterThanOrEqual(0);
          expect(staleness).toBeLessThanOrEqual(maxStaleness);
          for (const position of everyPosition([{ start, length: samples }])) {
            expect(next.has(position), `position ${position} is counted once`).toBe(false);
            next.add(position);
          }
          weights += f32FromHex(weight);
        }
        expect(weights).toBeCloseTo(1, 5);
        counted.push(next);
        return;
      }
      case "run-rolled-back":
        expect(event.version, "versions rise by one").toBe(counted.length);
        for (const { lease } of event.abandoned) account(lease, `the roll-back to ${event.to}`);
        for (const [lease, { by }] of admitted) expect(by, `the roll-back accounts for ${lease}`).not.toBeNull();
        counted.push(counted[event.to] as ReadonlySet<number>);
        return;
      case "run-finished":
        for (const [lease, { by }] of admitted) expect(by, `at its end the run has accounted for ${lease}`).not.toBeNull();
        return;
      default:
    }
  };
  return { read, counted, admitted };
}

function createPlay(rounds: ReturnType<typeof localStepsOf>["training"]["rounds"], maxStaleness: number, timed: boolean) {
  const work = timed ? ({ kind: "timed", most: 3 } as const) : ({ kind: "steps", steps: 2 } as const);
  const spec = localStepsOf({ rounds, work, versions: VERSIONS }, { round: { leaseMs: 2_000, deadlineMs: 10_000, maxStaleness } });
  const desk = createDesk(spec);
  const book = createBook(maxStaleness);
  const points = [pointOf(desk.state)];
  const given: AssignmentGiven[] = [];
  let upSinceMs = desk.nowMs;
  let readTo = 0;
  const pick = (volunteer: string, index: number): AssignmentGiven | undefined => {
    const own = given.filter((assignment) => assignment.volunteer === volunteer);
    return own[own.length - 1 - (index % Math.max(1, own.length))];
  };
  const inputOf = ({ kind, who, n }: Act): Input | null => {
    const volunteer = key(who);
    switch (kind) {
      case "join":
        return { kind, volunteer, name: null, device: { backend: "synthetic", description: "", software: false } };
      case "leave":
        return { kind, volunteer, reason: "silent" };
      case "ask":
      case "work":
        return { kind: "request-lease", volunteer, samplesPerSecond: n === 0 ? null : 2 * n };
      case "block":
      case "unblock":
        return { kind, volunteer, by: "admin" };
      case "pause":
      case "resume":
        return { kind, by: "admin" };
      case "tick":
        return { kind, upSinceMs };
      case "close":
        return closedNow(desk);
      case "roll-back": {
        const point = points[n % points.length];
        return point === undefined ? null : { kind, by: "admin", point };
      }
      case "release": {
        const assignment = pick(volunteer, n);
        return assignment === undefined ? null : { kind, volunteer, lease: assignment.lease, attempt: assignment.attempt };
      }
      case "answer":
      case "forged":
        return null;
      default:
        return kind satisfies never;
    }
  };
  const send = (act: Act, stored?: number): void => {
    const input = inputOf(act);
    if (input === null) return;
    const assignment = effectOf(desk.send(input, stored).effects, "assign")?.assignment;
    if (assignment !== undefined && stored === undefined) given.push(assignment);
  };
  const answer = ({ kind, who, n }: Act): void => {
    const assignment = pick(key(who), kind === "work" ? 0 : n);
    if (assignment === undefined) return;
    if (kind === "forged") {
      const lies = [{ samples: assignment.samples + 1 }, { base: "7".repeat(64) }, { volunteer: key(50) }, { codec: "int8" as const }];
      expect(typesOf(desk.answer(assignment, lies[n % lies.length]))).not.toContain("contribution-admitted");
      return;
    }
    const lease = bookOf(desk.state)?.leases.get(assignment.lease);
    const verdict = verdictOf(desk.answer(assignment));
    if (verdict === "admitted") expect(lease?.settled?.attempt).toBe(assignment.attempt);
  };

  const check = (): void => {
    for (; readTo < desk.records.length; readTo += 1) book.read((desk.records[readTo] as (typeof desk.records)[number]).event);
    const { state } = desk;
    if (state.version === points.length) {
      points.push(pointOf(state));
      const { position, pending = [] } = pointOf(state);
      expect(samplesCounted(state), "the schedule's place is what the weights have counted").toBe(book.counted[state.version]?.size ?? 0);
      const whole = [...(book.counted[state.version] ?? []), ...everyPosition(pending)].sort((a, b) => a - b);
      expect(whole, "each position below the version's is counted in it or pending, and none is both").toEqual(
        Array.from({ length: position }, (_, index) => index),
      );
    }
    const open = new Map<string, number>();
    for (const lease of bookOf(state)?.leases.values() ?? [])
      for (const { volunteer } of liveAssignments(lease)) open.set(volunteer, (open.get(volunteer) ?? 0) + 1);
    for (const { volunteer, open: held } of state.volunteers.values()) {
      expect(held.length).toBe(open.get(volunteer) ?? 0);
      expect(held.length).toBeLessThanOrEqual(MAX_OPEN_ASSIGNMENTS);
    }
    expect(bookOf(state)?.leases.size ?? 0, "what is in hand is bounded").toBeLessThanOrEqual(40);
  };

  return {
    desk,
    check,
    step(step: Step): void {
      if (step.kind === "pass") desk.pass(step.ms);
      else if (step.kind === "crash") {
        send(step.during, step.stored);
        desk.restart();
        desk.pass(1);
        upSinceMs = desk.nowMs;
      } else if (step.kind === "answer" || step.kind === "forged") answer(step);
      else if (step.kind === "work") {
        if (!desk.state.volunteers.get(key(step.who))?.present) send({ ...step, kind: "join" });
        send(step);
        if (step.n > 0) answer(step);
        if (step.n > 3 && desk.state.round?.closing != null) send({ ...step, kind: "close" });
      } else send(step);
    },
    /** Everybody else is gone; one volunteer who does its work, and a clock. */
    finishAlone(): void {
      for (let person = 0; person < PEOPLE; person += 1) desk.send({ kind: "leave", volunteer: key(person), reason: "silent" });
      desk.send({ kind: "resume", by: "admin" });
      desk.join(HONEST);
      for (let turn = 0; turn < 400 && desk.state.phase !== "finished"; turn += 1) {
        if (effectOf(desk.send({ kind: "tick", upSinceMs }).effects, "close-round") !== null) desk.send(closedNow(desk));
        const assignment = desk.ask(HONEST, 4);
        if (assignment === null) desk.pass(1_000);
        else expect(verdictOf(desk.answer(assignment))).toBe("admitted");
        check();
      }
    },
    accounted: () => [...book.admitted.values()].every(({ by }) => by !== null),
  };
}

const closedNow = ({ state }: Desk) =>
  ({
    kind: "closed",
    base: state.version,
    weights: { sha256: key(5_000 + state.version), sizeBytes: 9 },
    optimizer: { sha256: key(6_000), sizeBytes: 9 },
    norm: 1,
    lossMean: 1,
  }) as const;

describe("any script of joins, leaves, leases, answers, commands, ticks and crashes of a run of local steps", () => {
  it("counts each position once in order, accounts for each answer once, folds to the live state, and one honest volunteer finishes it", () => {
    const reached = { versions: 0, stale: 0, rollBacks: 0, carried: 0 };
    fc.assert(
      fc.property(
        fc.array(stepOf, { minLength: 20, maxLength: 140 }),
        fc.constantFrom(
          [{ kind: "all", leases: 3 }, 0] as const,
          [{ kind: "quorum", leases: 4, share: 0.5 }, 1] as const,
          [{ kind: "async", buffer: "auto" }, 2] as const,
          [{ kind: "async", buffer: 3 }, 1] as const,
        ),
        fc.boolean(),
        (steps, [rounds, maxStaleness], timed) => {
          const play = createPlay(rounds, maxStaleness, timed);
          play.step({ kind: "tick", who: 0, n: 0 });
          for (const step of steps) {
            play.step(step);
            play.check();
          }
          play.finishAlone();
          expect(play.desk.state).toMatchObject({ phase: "finished", steps: VERSIONS });
          expect(play.accounted()).toBe(true);
          const live = structuredClone(play.desk.state);
          play.desk.restart();
          expect(play.desk.state).toEqual(live);
          reached.versions += play.desk.state.version;
          for (const { event } of play.desk.records) {
            if (event.type === "contribution-refused" && event.code === "stale") reached.stale += 1;
            if (event.type === "assignment-ended" && event.reason === "round-closed") reached.stale += 1;
            if (event.type === "run-rolled-back") reached.rollBacks += 1;
            if (event.type === "version-published")
              reached.carried += event.contributions.filter(({ lease }) => Number.parseInt(lease, 10) < event.version - 1).length;
          }
        },
      ),
      { numRuns: 120 },
    );
    // The scripts do reach what they are meant to try.
    expect(reached.versions).toBeGreaterThan(600);
    expect(reached.stale).toBeGreaterThan(30);
    expect(reached.rollBacks).toBeGreaterThan(20);
    expect(reached.carried).toBeGreaterThan(50);
  }, 120_000);
});
