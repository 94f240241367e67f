import { MAX_OPEN_ASSIGNMENTS } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { DEVICE, type Desk, effectOf, key, openDesk, specOf } from "../test/desk.ts";
import { MAX_GIVE_BACKS } from "./caps.ts";
import type { AssignmentGiven } from "./inputs.ts";
import { MAX_LIVE_ASSIGNMENTS, tailAgeMs } from "./offers.ts";
import { firstRefusalMs, MAX_ATTEMPTS } from "./turns.ts";

/** Everybody asks for as much as it may hold until nothing is left to give. */
const drain = (desk: Desk, volunteers: number[]) => volunteers.flatMap((volunteer) => desk.ask(volunteer, 1_000) ?? []);
const noLease = (desk: Desk, volunteer: number) =>
  effectOf(desk.send({ kind: "request-lease", volunteer: key(volunteer), samplesPerSecond: 1 }).effects, "no-lease");

describe("leases", () => {
  it("begin with one micro-batch while the speed is unknown, then last leaseMs at the measured speed", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 1_000 }));
    expect(desk.take(1)).toMatchObject({ lease: "0.0", attempt: 1, start: 0, samples: 4, version: 0, deadlineAtMs: desk.nowMs + 10_000 });
    expect(desk.take(1, 25)).toMatchObject({ lease: "0.1", start: 4, samples: 48 });
  });

  it("are cut one after another from the version's stretch of the sample stream", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 10 }));
    desk.answer(desk.take(1, 1_000));
    desk.close();
    expect(desk.state.round).toMatchObject({ base: 1, start: 10, samples: 10 });
    expect(desk.take(1, 1_000)).toMatchObject({ lease: "1.0", start: 10, samples: 10, version: 1 });
  });

  it("are shared: a fast volunteer leaves something for those who are present and wait", () => {
    const desk = openDesk([1, 2, 3]);
    expect(drain(desk, [1, 2, 3]).map(({ samples }) => samples)).toEqual([8, 8, 4]);
    expect(desk.state.round?.cut).toBe(20);
  });

  it("are given only to who joined, and at most two at once to one key", () => {
    const desk = openDesk([1]);
    expect(noLease(desk, 9)).toMatchObject({ code: "no-work", reason: expect.stringContaining("hello") });
    for (let taken = 0; taken < MAX_OPEN_ASSIGNMENTS; taken += 1) desk.take(1, 2);
    expect(noLease(desk, 1)).toMatchObject({ code: "too-many-assignments" });
  });

  it("that came back are given before new ones are cut, lowest position first, with the next attempt", () => {
    const desk = openDesk([1, 2, 3]);
    const first = desk.take(1, 2);
    const second = desk.take(2, 2);
    desk.send({ kind: "release", volunteer: key(2), lease: second.lease, attempt: 1 });
    desk.send({ kind: "leave", volunteer: key(1), reason: "goodbye" });
    expect(desk.take(3, 2)).toMatchObject({ lease: first.lease, attempt: 2, start: 0, samples: 4 });
    expect(desk.take(3, 2)).toMatchObject({ lease: second.lease, attempt: 2, start: 4, samples: 4 });
  });

  it("that a volunteer did not do in time give it twice as long each time, and others the ordinary deadline", () => {
    const desk = openDesk([1, 2]);
    const lease = desk.take(2, 1_000).lease;
    desk.send({ kind: "leave", volunteer: key(2), reason: "goodbye" });
    const lasts = (volunteer: number): number => {
      const assignment = desk.take(volunteer, 1);
      expect(assignment.lease).toBe(lease);
      return assignment.deadlineAtMs - desk.nowMs;
    };
    const times: number[] = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      times.push(lasts(1));
      if (attempt % 2 === 0) desk.send({ kind: "release", volunteer: key(1), lease, attempt: attempt + 2 });
      else {
        desk.pass(times.at(-1) ?? 0);
        desk.send({ kind: "tick" });
      }
    }
    expect(times.map((ms) => ms / 10_000)).toEqual([1, 2, 4, 8, 16, 32, 64, 64]);
    desk.send({ kind: "join", volunteer: key(3), name: null, device: DEVICE });
    expect(lasts(3)).toBe(10_000);
  });

  it("whose answer is being sent are given to nobody else, until half a deadline after its own; a newcomer's are", () => {
    const desk = openDesk([1, 2], specOf({ samplesPerVersion: 8 }));
    const ask = (volunteer: number, lease: string) =>
      effectOf(
        desk.send({ kind: "request-lease", volunteer: key(volunteer), samplesPerSecond: 1_000, arriving: new Set([lease]) }).effects,
        "assign",
      )?.assignment.lease;
    const newcomers = desk.take(1, 1_000);
    desk.answer(desk.take(2, 1_000));
    desk.pass(tailAgeMs(desk.state) + firstRefusalMs(desk.state));
    expect(ask(2, newcomers.lease)).toBe(newcomers.lease);
    desk.answer(newcomers);
    desk.close();

    const slow = desk.take(1, 1_000);
    desk.answer(desk.take(2, 1_000));
    desk.pass(10_000);
    desk.send({ kind: "tick" });
    expect(ask(2, slow.lease)).toBeUndefined();
    desk.pass(4_999);
    expect(ask(2, slow.lease)).toBeUndefined();
    desk.pass(1);
    expect(ask(2, slow.lease)).toBe(slow.lease);
  });

  it("that expired are announced and given again", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1, 1_000);
    desk.pass(9_999);
    expect(desk.send({ kind: "tick" }).events).toEqual([]);
    desk.pass(1);
    const { events, effects } = desk.send({ kind: "tick" });
    expect(events).toEqual([{ type: "assignment-ended", lease: given.lease, attempt: 1, volunteer: key(1), reason: "expired" }]);
    expect(effects.map(({ kind }) => kind).slice(0, 2)).toEqual(["revoke", "announce"]);
    expect(desk.take(2, 1_000)).toMatchObject({ lease: given.lease, attempt: 2 });
  });

  it("that somebody answered with garbage go to another before they go back to the same device", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1, 2);
    desk.send({ kind: "refused", volunteer: key(1), lease: given.lease, attempt: 1, code: "not-finite", detail: "NaN" });
    expect(desk.take(1, 2).lease).not.toBe(given.lease);
    expect(desk.take(2, 2).lease).toBe(given.lease);
    const alone = openDesk([1]);
    const own = alone.take(1, 2);
    alone.send({ kind: "refused", volunteer: key(1), lease: own.lease, attempt: 1, code: "not-finite", detail: "NaN" });
    expect(alone.take(1, 2)).toMatchObject({ lease: own.lease, attempt: 2 });
  });

  it("are not given while the run is paused, stopped or finished, and the reason says which", () => {
    const desk = openDesk([1]);
    desk.send({ kind: "pause", by: "admin" });
    expect(noLease(desk, 1)).toMatchObject({ code: "run-not-active", reason: expect.stringContaining("paused") });
    desk.send({ kind: "resume", by: "admin" });
    desk.take(1);
    desk.send({ kind: "stop", by: "admin" });
    expect(noLease(desk, 1)).toMatchObject({ code: "run-not-active", reason: expect.stringContaining("stopped") });
  });
});

describe("the tail of a version", () => {
  const withTail = (volunteers: number[]) => {
    const desk = openDesk(volunteers, specOf({ samplesPerVersion: 8 }));
    desk.take(1, 2);
    desk.pass(100);
    desk.take(2, 2);
    return desk;
  };

  it("is given again side by side once it is overdue for its size, the oldest first", () => {
    const desk = withTail([1, 2, 3, 4]);
    const wait = noLease(desk, 3);
    expect(wait).toMatchObject({ code: "no-work", retryAfterMs: tailAgeMs(desk.state) - 100 });
    desk.pass(wait?.retryAfterMs ?? 0);
    expect(desk.take(3, 2)).toMatchObject({ lease: "0.0", attempt: 2 });
    desk.pass(100);
    expect(desk.take(4, 2)).toMatchObject({ lease: "0.0", attempt: 3 });
  });

  it("is held by at most three at once and never twice by one volunteer", () => {
    const desk = withTail([1, 2, 3, 4, 5]);
    desk.pass(5_000);
    const taken = [3, 4, 5, 3, 4, 5, 1, 2].map((volunteer) => desk.ask(volunteer, 2)?.lease ?? "-");
    expect(taken).toEqual(["0.0", "0.0", "0.1", "0.1", "-", "-", "-", "-"]);
    const lease = desk.state.round?.leases.get("0.0");
    expect(lease?.assignments.filter(({ end }) => end === null).length).toBe(MAX_LIVE_ASSIGNMENTS);
  });

  it("is settled by the first valid answer; the others are told and their assignments end", () => {
    const desk = withTail([1, 2, 3]);
    desk.pass(5_000);
    const again = desk.take(3, 2);
    const { events, effects } = desk.answer(again);
    expect(events.map(({ type }) => type)).toEqual(["contribution-admitted", "assignment-ended"]);
    expect(effectOf(effects, "revoke")).toMatchObject({ volunteer: key(1), lease: "0.0", attempt: 1, reason: "settled-by-another" });
    expect(desk.state.volunteers.get(key(1))?.open).toEqual([]);
  });
});

describe("keys without a settled lease", () => {
  it("hold at most half of a version together while an established volunteer is connected", () => {
    const desk = openDesk([1, 2, 3, 4, 5], specOf({ samplesPerVersion: 32 }));
    desk.answer(desk.take(1, 1_000));
    const held = [2, 3, 4].map((volunteer) => desk.take(volunteer, 1_000).samples);
    expect(held.reduce((sum, samples) => sum + samples, 0)).toBe(16);
    expect(noLease(desk, 5)).toMatchObject({ code: "no-work", reason: expect.stringContaining("settled a lease before") });
    expect(desk.take(1, 1_000).samples).toBe(4);
  });

  it("get a lease that is too large for them only after it has lain for a whole deadline", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 32 }));
    desk.answer(desk.take(1));
    const large = desk.take(1, 1_000);
    desk.join(2);
    desk.send({ kind: "release", volunteer: key(1), lease: large.lease, attempt: 1 });
    expect(large.samples).toBe(28);
    expect(desk.ask(2, 1_000)).toBeNull();
    desk.pass(10_000);
    expect(desk.take(2, 1_000)).toMatchObject({ lease: large.lease, attempt: 2 });
  });

  it("hold what they can when no established volunteer is connected: the first one alone still trains", () => {
    const desk = openDesk([1]);
    expect(desk.take(1, 1_000).samples).toBe(24);
  });

  it("get a micro-batch even where half of a version is less than one", () => {
    const desk = openDesk([1, 2], specOf({ samplesPerVersion: 4 }));
    desk.answer(desk.take(1));
    desk.close();
    expect(desk.take(2).samples).toBe(4);
  });
});

describe("whose turn it is", () => {
  const release = (desk: Desk, volunteer: number, { lease, attempt }: AssignmentGiven) =>
    desk.send({ kind: "release", volunteer: key(volunteer), lease, attempt });
  /** Volunteer 1 has settled a lease of four; whoever else joins has not. */
  const withEstablished = (newcomers: number[], samplesPerVersion = 32) => {
    const desk = openDesk([1], specOf({ samplesPerVersion }));
    desk.answer(desk.take(1));
    desk.join(...newcomers);
    return desk;
  };

  it("a crowd of new keys that never answer holds up no version for a whole deadline while an established volunteer works", () => {
    const desk = withEstablished([2, 3, 4, 5, 6, 7, 8, 9], 240);
    const beganAtMs = desk.nowMs;
    let held: { readonly given: AssignmentGiven; readonly doneAtMs: number } | null = null;
    for (let turn = 0; turn < 2_000 && desk.state.phase !== "finished"; turn += 1) {
      desk.pass(50);
      const { effects } = desk.send({ kind: "tick" });
      if (effectOf(effects, "close-round") !== null) desk.close();
      // The silent ones are always a little faster at asking.
      for (let silent = 2; silent <= 9; silent += 1) desk.ask(silent);
      if (held !== null && held.doneAtMs <= desk.nowMs) {
        desk.answer(held.given);
        held = null;
      }
      if (held !== null) continue;
      const given = desk.ask(1, 1_000);
      if (given !== null) held = { given, doneAtMs: desk.nowMs + 100 };
    }
    expect(desk.state).toMatchObject({ phase: "finished", version: 4 });
    expect(desk.nowMs - beganAtMs).toBeLessThan(4 * desk.state.spec.round.deadlineMs);
  });

  it("the last live place of a lease is kept for an established volunteer while one is present", () => {
    const desk = withEstablished([2, 3, 4]);
    const { lease } = desk.take(2);
    while (desk.state.round?.cut !== 32) desk.answer(desk.take(1, 1_000));
    desk.pass(tailAgeMs(desk.state) + firstRefusalMs(desk.state));
    expect(desk.take(3)).toMatchObject({ lease, attempt: 2 });
    expect(desk.ask(4)).toBeNull();
    expect(desk.take(1)).toMatchObject({ lease, attempt: 3 });
  });

  it("a lease that came back, or is overdue, is an established volunteer's first and a new key's a moment later", () => {
    const desk = withEstablished([2, 3, 4], 8);
    release(desk, 2, desk.take(2));
    expect(noLease(desk, 3)).toMatchObject({ code: "no-work", retryAfterMs: firstRefusalMs(desk.state) });
    desk.pass(firstRefusalMs(desk.state));
    expect(desk.take(3)).toMatchObject({ lease: "0.1", attempt: 2 });
    desk.pass(tailAgeMs(desk.state));
    expect(desk.ask(4)).toBeNull();
    expect(desk.take(1)).toMatchObject({ lease: "0.1", attempt: 3 });
  });

  it.each(["released", "expired"] as const)("a key that had a lease and %s it is last in line for it", (end) => {
    const desk = openDesk([1, 2], specOf({ samplesPerVersion: 4 }));
    const giveUp = (volunteer: number): void => {
      const given = desk.take(volunteer);
      if (end === "released") release(desk, volunteer, given);
      else desk.pass(given.deadlineAtMs - desk.nowMs);
      desk.send({ kind: "tick" });
    };
    giveUp(1);
    expect(noLease(desk, 1)).toMatchObject({ code: "no-work", reason: expect.stringContaining("came back from this key") });
    giveUp(2);
    // Both have had their turn.
    giveUp(1);
    desk.join(3);
    expect([desk.ask(1), desk.ask(2)]).toEqual([null, null]);
    // It lies for a whole deadline: then it is anybody's.
    desk.pass(10_000);
    expect(desk.take(1)).toMatchObject({ lease: "0.0", attempt: 4 });
  });

  it("an established volunteer that gave a lease back has its turn again once one other had it in vain", () => {
    const desk = withEstablished([2, 3, 4, 5], 8);
    release(desk, 1, desk.take(1));
    expect(desk.ask(1)).toBeNull();
    desk.pass(firstRefusalMs(desk.state));
    desk.take(2);
    desk.send({ kind: "leave", volunteer: key(2), reason: "silent" });
    expect(desk.take(1)).toMatchObject({ lease: "0.1", attempt: 3 });
  });

  it("a volunteer that is alone has its lease again at once, but not without end: then once per deadline", () => {
    const desk = openDesk([1]);
    let given = desk.take(1);
    for (let times = 1; times <= MAX_GIVE_BACKS; times += 1) {
      release(desk, 1, given);
      given = desk.take(1);
    }
    release(desk, 1, given);
    expect(noLease(desk, 1)).toMatchObject({
      code: "no-work",
      reason: expect.stringContaining("gave back 17 leases"),
      retryAfterMs: 10_000,
    });
    desk.restart();
    desk.pass(9_999);
    expect(desk.ask(1)).toBeNull();
    desk.pass(1);
    desk.answer(desk.take(1));
    desk.answer(desk.take(1, 1_000));
    expect(desk.close().events.map(({ type }) => type)).toEqual(["version-published", "round-opened"]);
    release(desk, 1, desk.take(1));
    expect(desk.ask(1)?.attempt).toBe(2);
  });

  it("a lease that a thousand attempts left unanswered goes out once per deadline, and never with a number that no event can carry", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 4 }));
    for (let n = 0; n < 100; n += 1) {
      desk.join(100 + n);
      for (let times = 0; times < 10; times += 1) {
        desk.pass(times === 0 ? 0 : 10_000);
        release(desk, 100 + n, desk.take(100 + n));
      }
      desk.send({ kind: "leave", volunteer: key(100 + n), reason: "goodbye" });
    }
    expect(desk.ask(1)).toBeNull();
    desk.pass(10_000);
    const given = desk.take(1);
    expect(given).toMatchObject({ lease: "0.0", attempt: 1_001 });
    const lease = desk.state.round?.leases.get("0.0");
    const ended = lease?.assignments[0];
    if (lease === undefined || ended === undefined) throw new Error("there is such a lease");
    release(desk, 1, given);
    lease.assignments.length = MAX_ATTEMPTS - 1;
    lease.assignments.fill(ended);
    desk.pass(10_000);
    expect(desk.take(1).attempt).toBe(MAX_ATTEMPTS);
    release(desk, 1, { ...given, attempt: MAX_ATTEMPTS });
    desk.pass(100_000);
    expect(desk.ask(1)).toBeNull();
  });
});
