// Random scripts of everything that can happen to a run, hostile answers, crashes in the middle of a decision included; after each
// step the promises are checked against bookkeeping of the test's own, made from the events alone.
import { f32FromHex, f32ToHex, type LedgerEvent, MAX_OPEN_ASSIGNMENTS } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDesk, type Desk, effectOf, headerOf, key, specOf, typesOf, verdictOf } from "../test/desk.ts";
import { heldByNewcomers, newcomersShare } from "./caps.ts";
import type { AssignmentGiven, Decision } from "./inputs.ts";
import { MAX_LIVE_ASSIGNMENTS } from "./offers.ts";
import { isEstablished, liveAssignments, pointOf } from "./state.ts";

const PEOPLE = 5;
const HONEST = 99;
const DECIDES = ["join", "leave", "ask", "release", "block", "unblock", "pause", "resume", "tick", "close", "refuse", "roll-back"] as const;
/** Answers that must never count, by what is wrong with the header. */
const FORGED = {
  "forged-volunteer": () => ({ volunteer: key(50) }),
  "wrong-base": () => ({ base: "7".repeat(64) }),
  "wrong-samples": ({ samples }: AssignmentGiven) => ({ samples: samples + 1 }),
  nan: () => ({ lossMean: f32ToHex(Number.NaN) }),
  unknown: () => ({ lease: "3.99" }),
} as const;
const ANSWERS = ["answer", "duplicate", "forged-volunteer", "wrong-base", "wrong-samples", "nan", "unknown"] as const;
type Step =
  | { readonly kind: (typeof DECIDES)[number] | (typeof ANSWERS)[number]; readonly who: number; readonly n: number }
  /** An honest volunteer's turn: join where it is not present, ask, answer at once. */
  | { readonly kind: "work"; readonly who: number; readonly n: number }
  | { readonly kind: "pass"; readonly ms: number }
  | {
      readonly kind: "crash";
      readonly during: { readonly kind: (typeof DECIDES)[number]; readonly who: number; readonly n: number };
      readonly stored: number;
    };

const who = fc.nat(PEOPLE - 1);
const n = fc.nat(7);
const stepOf: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom(...DECIDES), who, n }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("ask" as const), who, n }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("join" as const, "close" as const, "tick" as const), who, n }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("answer" as const), who, n }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("roll-back" as const), who, n }) },
  { weight: 14, arbitrary: fc.record({ kind: fc.constant("work" as const), who, n }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom(...ANSWERS), who, n }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(100, 2_000, 5_000, 11_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      during: fc.record({ kind: fc.constantFrom(...DECIDES), who, n }),
      stored: fc.nat(3),
    }),
  },
);

/** What the events promise, kept apart from the state machine. */
function createBook() {
  const leases = new Map<string, { readonly start: number; readonly samples: number }>();
  const admitted = new Map<string, string>();
  /** Admitted contributions by what became of them: a version counts them, or a roll-back names them. */
  const published = new Set<string>();
  const abandoned = new Set<string>();
  /** First position that is not counted, by version. */
  const positions = [0];
  const read = (event: LedgerEvent): void => {
    if (event.type === "lease-assigned") {
      const { lease, start, samples } = event;
      expect(leases.get(lease) ?? { start, samples }).toEqual({ start, samples });
      leases.set(lease, { start, samples });
    }
    if (event.type === "contribution-admitted") {
      const { lease, sha256, samples } = event.header;
      expect(admitted.has(lease), `lease ${lease} is settled once`).toBe(false);
      expect(samples).toBe(leases.get(lease)?.samples);
      admitted.set(lease, sha256);
    }
    if (event.type !== "version-published" && event.type !== "run-rolled-back") return;
    expect(event.version, "versions rise by one").toBe(positions.length);
    if (event.type === "run-rolled-back") {
      positions.push(positions[event.to] as number);
      for (const { lease, sha256 } of event.abandoned) {
        expect(admitted.get(lease)).toBe(sha256);
        abandoned.add(lease);
      }
    } else {
      let position = positions.at(-1) as number;
      let weight = 0;
      for (const { lease, sha256, samples, weight: share } of event.contributions) {
        expect(leases.get(lease), "each sample of the lineage is counted exactly once, in order").toEqual({ start: position, samples });
        expect(admitted.get(lease)).toBe(sha256);
        expect(published.has(lease), "a contribution is in one version").toBe(false);
        published.add(lease);
        position += samples;
        weight += f32FromHex(share);
      }
      positions.push(position);
      expect(weight).toBeCloseTo(1, 5);
    }
    const accounted = [...published, ...abandoned];
    expect(new Set(accounted).size, "no contribution is counted and given up").toBe(accounted.length);
    expect(accounted.length, "every admitted contribution is in a version or named by a roll-back").toBe(admitted.size);
  };
  return { read, position: () => positions.at(-1) };
}

function createPlay(samplesPerVersion: number, microBatch: number) {
  const desk = createDesk(specOf({ samplesPerVersion, microBatch }));
  const book = createBook();
  /** Each version there was, as a roll-back to it needs it. */
  const points = [pointOf(desk.state)];
  /** Every assignment ever given, live or not: the stock of valid, late and duplicate answers. */
  const given: AssignmentGiven[] = [];
  let upSinceMs = desk.nowMs;
  let readTo = 0;

  const pick = (volunteer: string, index: number): AssignmentGiven | undefined => {
    const own = given.filter((assignment) => assignment.volunteer === volunteer);
    return own[own.length - 1 - (index % Math.max(1, own.length))];
  };

  const send = (
    step: { readonly kind: (typeof DECIDES)[number]; readonly who: number; readonly n: number },
    stored?: number,
  ): Decision | null => {
    const volunteer = key(step.who);
    switch (step.kind) {
      case "join":
        return desk.send(
          { kind: "join", volunteer, name: null, device: { backend: "synthetic", description: "", software: false } },
          stored,
        );
      case "leave":
        return desk.send({ kind: "leave", volunteer, reason: "silent" }, stored);
      case "ask":
        return desk.send({ kind: "request-lease", volunteer, samplesPerSecond: step.n === 0 ? null : step.n * 2 }, stored);
      case "block":
      case "unblock":
        return desk.send({ kind: step.kind, volunteer, by: "admin" }, stored);
      case "pause":
      case "resume":
        return desk.send({ kind: step.kind, by: "admin" }, stored);
      case "tick":
        return desk.send({ kind: "tick", upSinceMs }, stored);
      case "close":
        return desk.send(closedNow(desk), stored);
      case "roll-back": {
        const point = points[step.n % points.length];
        return point === undefined ? null : desk.send({ kind: "roll-back", by: "admin", point }, stored);
      }
      case "release":
      case "refuse": {
        const assignment = pick(volunteer, step.n);
        if (assignment === undefined) return null;
        const { lease, attempt } = assignment;
        return step.kind === "release"
          ? desk.send({ kind: "release", volunteer, lease, attempt }, stored)
          : desk.send({ kind: "refused", volunteer, lease, attempt, code: "not-finite", detail: "NaN" }, stored);
      }
      default:
        return step.kind satisfies never;
    }
  };

  const answer = (kind: (typeof ANSWERS)[number], volunteer: number, index: number): void => {
    const assignment = pick(key(volunteer), index);
    if (assignment === undefined) return;
    const lease = desk.state.round?.leases.get(assignment.lease);
    const mayCount = lease !== undefined && lease.settled === null;
    if (kind !== "answer" && kind !== "duplicate") {
      expect(typesOf(desk.answer(assignment, FORGED[kind](assignment)))).not.toContain("contribution-admitted");
      return;
    }
    const isLive = lease?.assignments[assignment.attempt - 1]?.end === null;
    const verdict = verdictOf(desk.answer(assignment));
    if (verdict === "admitted") expect(mayCount).toBe(true);
    // A crash in the middle of blocking leaves the assignment live; its answer is refused all the same.
    const isBlocked = desk.state.volunteers.get(assignment.volunteer)?.blocked === true;
    if (mayCount && isLive) expect(verdict).toBe(isBlocked ? "blocked" : "admitted");
    if (kind === "duplicate") expect(typesOf(desk.answer(assignment))).not.toContain("contribution-admitted");
  };

  const keep = (decision: Decision | null): void => {
    const assignment = effectOf(decision?.effects ?? [], "assign")?.assignment;
    if (assignment === undefined) return;
    given.push(assignment);
    const { state } = desk;
    const isNewcomer = !isEstablished(state.volunteers.get(assignment.volunteer));
    if (isNewcomer && state.establishedPresent > 0 && assignment.attempt === 1)
      expect(heldByNewcomers(state)).toBeLessThanOrEqual(newcomersShare(state));
  };

  const check = (): void => {
    for (; readTo < desk.records.length; readTo += 1) book.read((desk.records[readTo] as (typeof desk.records)[number]).event);
    checkHolders(desk);
    expect(desk.state.position).toBe(book.position());
    if (desk.state.version === points.length) points.push(pointOf(desk.state));
  };

  return {
    desk,
    check,
    step(step: Step): void {
      if (step.kind === "pass") desk.pass(step.ms);
      else if (step.kind === "work") {
        if (!desk.state.volunteers.get(key(step.who))?.present) send({ ...step, kind: "join" });
        keep(send({ ...step, kind: "ask" }));
        answer("answer", step.who, 0);
        // Now and then the closing worker is quick, else a later step or tick has to bring the version.
        if (step.n > 2 && desk.state.round?.samplesIn === samplesPerVersion) send({ ...step, kind: "close" });
      } else if (step.kind === "crash") {
        // What was given by a decision that was not wholly stored never reached anybody.
        send(step.during, step.stored);
        desk.restart();
        desk.pass(1);
        upSinceMs = desk.nowMs;
      } else if ((ANSWERS as readonly string[]).includes(step.kind)) answer(step.kind as (typeof ANSWERS)[number], step.who, step.n);
      else keep(send({ ...step, kind: step.kind as (typeof DECIDES)[number] }));
    },
    /** Everybody else is gone; one volunteer who does its work, and a clock. */
    finishAlone(): void {
      for (let person = 0; person < PEOPLE; person += 1) desk.send({ kind: "leave", volunteer: key(person), reason: "silent" });
      desk.send({ kind: "resume", by: "admin" });
      desk.join(HONEST);
      for (let turn = 0; turn < 400 && desk.state.phase !== "finished"; turn += 1) {
        const { effects } = desk.send({ kind: "tick", upSinceMs });
        if (effectOf(effects, "close-round") !== null) desk.close();
        const assignment = desk.ask(HONEST, 4);
        if (assignment === null) desk.pass(1_000);
        else
          expect(
            verdictOf(desk.send({ kind: "contribution", header: headerOf(desk, assignment), signature: "0".repeat(128), norm: 1 })),
          ).toBe("admitted");
        check();
      }
    },
  };
}

const closedNow = (desk: Desk) =>
  ({
    kind: "closed",
    base: desk.state.version,
    weights: { sha256: key(5_000 + desk.state.version), sizeBytes: 9 },
    optimizer: { sha256: key(6_000), sizeBytes: 9 },
    norm: 1,
    lossMean: 1,
  }) as const;

function checkHolders({ state }: Desk): void {
  const open = new Map<string, number>();
  for (const lease of state.round?.leases.values() ?? []) {
    const live = liveAssignments(lease);
    expect(live.length).toBeLessThanOrEqual(MAX_LIVE_ASSIGNMENTS);
    expect(new Set(live.map(({ volunteer }) => volunteer)).size).toBe(live.length);
    for (const { volunteer } of live) open.set(volunteer, (open.get(volunteer) ?? 0) + 1);
    const place = lease.settled !== null ? "in" : live.length > 0 ? "out" : "waiting";
    expect([state.round?.out.has(lease.lease), state.round?.waiting.has(lease.lease)]).toEqual([place === "out", place === "waiting"]);
  }
  let present = 0;
  for (const { volunteer, open: held, present: isPresent } of state.volunteers.values()) {
    expect(held.length).toBe(open.get(volunteer) ?? 0);
    expect(held.length).toBeLessThanOrEqual(MAX_OPEN_ASSIGNMENTS);
    if (isPresent) present += 1;
  }
  expect(state.present).toBe(present);
}

describe("any script of joins, leaves, leases, answers good and bad, commands, ticks and crashes", () => {
  it("keeps every promise after every step, folds to the live state, and leaves a run that one honest volunteer can finish", () => {
    let versions = 0;
    let refusals = 0;
    let rollBacks = 0;
    fc.assert(
      fc.property(
        fc.array(stepOf, { minLength: 20, maxLength: 160 }),
        fc.constantFrom([24, 4], [10, 4], [3, 8], [16, 1]),
        (steps, [samplesPerVersion, microBatch]) => {
          const play = createPlay(samplesPerVersion as number, microBatch as number);
          play.step({ kind: "tick", who: 0, n: 0 });
          for (const step of steps) {
            play.step(step);
            play.check();
          }
          versions += play.desk.state.version;
          play.finishAlone();
          expect(play.desk.state).toMatchObject({ phase: "finished", steps: 4, position: 4 * (samplesPerVersion as number) });
          const live = structuredClone(play.desk.state);
          play.desk.restart();
          expect(play.desk.state).toEqual(live);
          rollBacks += play.desk.records.filter(({ event }) => event.type === "run-rolled-back").length;
          refusals += play.desk.records.filter(({ event }) => event.type === "contribution-refused").length;
        },
      ),
      { numRuns: 150 },
    );
    // The scripts do reach what they are meant to try.
    expect(versions).toBeGreaterThan(100);
    expect(refusals).toBeGreaterThan(200);
    expect(rollBacks).toBeGreaterThan(50);
  }, 60_000);

  it("never changes the state by deciding", () => {
    fc.assert(
      fc.property(fc.array(stepOf, { minLength: 5, maxLength: 60 }), fc.array(stepOf, { minLength: 3, maxLength: 10 }), (before, more) => {
        const play = createPlay(24, 4);
        for (const step of before) play.step(step);
        const copy = structuredClone(play.desk.state);
        for (const step of more) if (step.kind === "crash") dryRun(play.desk, step.during);
        dryRun(play.desk, { kind: "tick", who: 0, n: 0 });
        dryRun(play.desk, { kind: "ask", who: 1, n: 3 });
        dryRun(play.desk, { kind: "close", who: 1, n: 3 });
        expect(play.desk.state).toEqual(copy);
      }),
      { numRuns: 60 },
    );
  });
});

/** Decides without storing anything. */
function dryRun(desk: Desk, step: { readonly kind: (typeof DECIDES)[number]; readonly who: number; readonly n: number }): void {
  const volunteer = key(step.who);
  if (step.kind === "ask") desk.send({ kind: "request-lease", volunteer, samplesPerSecond: step.n + 1 }, 0);
  else if (step.kind === "leave") desk.send({ kind: "leave", volunteer, reason: "goodbye" }, 0);
  else if (step.kind === "block") desk.send({ kind: "block", volunteer, by: "admin" }, 0);
  else if (step.kind === "close") desk.send(closedNow(desk), 0);
  else desk.send({ kind: "tick", upSinceMs: desk.nowMs - 60_000 }, 0);
}
