import { MAX_OPEN_ASSIGNMENTS } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { type Desk, effectOf, key, openDesk, specOf } from "../test/desk.ts";
import { MAX_LIVE_ASSIGNMENTS, tailAgeMs } from "./offers.ts";

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
