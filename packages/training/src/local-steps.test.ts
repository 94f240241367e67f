// Rounds of local steps, decision by decision: when each kind closes, what outlives a version, and what an answer weighs.
import { f32FromHex, type LedgerEvent } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import {
  blob,
  createDesk,
  type Desk,
  effectOf,
  headerOf,
  key,
  localStepsOf,
  openDesk,
  SIGNATURE,
  typesOf,
  verdictOf,
} from "../test/desk.ts";
import { evolve, ImpossibleEvent } from "./evolve.ts";
import type { AssignmentGiven } from "./inputs.ts";
import { whyWaiting } from "./reasons.ts";
import { contributionsWanted, contributionWeights, leastAtDeadline, quorumOf } from "./rounds.ts";
import { openAssignmentsOf, pointOf } from "./state.ts";

const lastOf = <T extends LedgerEvent["type"]>(desk: Desk, type: T) =>
  desk.records.findLast(({ event }) => event.type === type)?.event as Extract<LedgerEvent, { type: T }>;
const takeAll = (desk: Desk, volunteers: readonly number[]): AssignmentGiven[] => volunteers.map((volunteer) => desk.take(volunteer));
const quorum = (leases: number, share?: number) => ({ kind: "quorum", leases, ...(share === undefined ? {} : { share }) }) as const;
const ASYNC = { kind: "async", buffer: "auto" } as const;
const FIVE = [1, 2, 3, 4, 5];

describe("a round of local steps", () => {
  it("gives out leases with their base, the inner learning rate of that base, and as many samples as its steps have", () => {
    const desk = openDesk([1], localStepsOf({ work: { kind: "timed", most: 5 } }));
    expect(desk.take(1)).toMatchObject({ lease: "0.0", start: 0, samples: 4, version: 0, codec: "f32" });
    // 6 samples a second for 2 s are 3 steps of 4; nobody gets more than the most.
    expect(desk.take(1, 6)).toMatchObject({ lease: "0.1", start: 4, samples: 12 });
    expect(lastOf(desk, "lease-assigned")).toMatchObject({ base: 0 });
    desk.join(2);
    const fast = desk.take(2, 1_000);
    expect(fast).toMatchObject({ start: 16, samples: 20 });
    expect(f32FromHex(fast.learningRate ?? "")).toBe(Math.fround(0.1));
    expect(openAssignmentsOf(desk.state, key(2))).toEqual([fast]);
  });

  it("of kind all closes with its last lease, and gives nothing more meanwhile", () => {
    const all = openDesk([1, 2], localStepsOf());
    const given = [...takeAll(all, [1, 1, 2, 2])];
    all.join(3);
    expect(all.ask(3)).toBeNull();
    expect(whyWaiting(all.state, all.nowMs)).toBe("Round 1 waits for all of its leases: 0 contributions of 4 are in, 4 leases out.");
    for (const assignment of given.slice(0, 3)) expect(typesOf(all.answer(assignment))).toEqual(["contribution-admitted"]);
    const closing = all.answer(given[3] as AssignmentGiven);
    expect(typesOf(closing)).toEqual(["contribution-admitted", "round-closing"]);
    expect(effectOf(closing.effects, "close-round")?.round).toMatchObject({ base: 0, contributions: [{ weight: 0.25 }, {}, {}, {}] });
    expect(all.ask(3)).toBeNull();
    expect(whyWaiting(all.state, all.nowMs)).toBe("Round 1 closes with 4 contributions; the next version is being made.");
    all.restart();
    expect(effectOf(all.send({ kind: "tick" }).effects, "close-round")).toEqual(effectOf(closing.effects, "close-round"));
    expect(typesOf(all.close())).toEqual(["version-published", "round-opened"]);
    expect(all.state).toMatchObject({ version: 1, position: 32, pending: [], round: { start: 32, samples: 0 } });
  });

  it("of kind quorum waits a quarter of a lease's time after its share, and carries the rest over", () => {
    const desk = openDesk(FIVE, localStepsOf({ rounds: quorum(4, 0.5) }));
    const given = takeAll(desk, [1, 2, 3, 4]);
    expect(desk.ask(5)).toBeNull();
    expect(whyWaiting(desk.state, desk.nowMs)).toBe(
      "Round 1 waits for a quorum of 2, and for 1 at the least: 0 contributions of 4 are in, 4 leases out.",
    );
    desk.answer(given[2] as AssignmentGiven);
    expect(whyWaiting(desk.state, desk.nowMs)).toBe(
      "Round 1 waits for a quorum of 2, or its deadline in 10 s: 1 contribution of 4 is in, 3 leases out.",
    );
    desk.answer(given[0] as AssignmentGiven);
    expect(whyWaiting(desk.state, desk.nowMs)).toBe("Round 1 has its quorum and gives the others 1 s more: 2 contributions of 4 are in.");
    desk.pass(499);
    expect(desk.send({ kind: "tick" }).events).toEqual([]);
    desk.pass(1);
    expect(typesOf(desk.send({ kind: "tick" }))).toEqual(["round-closing"]);
    expect(lastOf(desk, "round-closing").leases).toEqual(["0.0", "0.2"]);
    // While it closes an answer is of the next round, one version stale.
    const late = desk.answer(given[1] as AssignmentGiven);
    expect(effectOf(late.effects, "verdict")?.verdict).toEqual({ ok: true, version: 2 });
    desk.close();
    expect(pointOf(desk.state)).toMatchObject({
      version: 1,
      position: 32,
      pending: [
        { start: 8, length: 8 },
        { start: 24, length: 8 },
      ],
    });
    expect(desk.state.round?.out).toEqual(new Set(["0.3"]));
    // Two of four are in hand: two more are cut.
    const fresh = takeAll(desk, [1, 2]);
    expect(desk.ask(5)).toBeNull();
    expect(fresh.map(({ lease, version }) => [lease, version])).toEqual([
      ["1.0", 1],
      ["1.1", 1],
    ]);
    desk.answer(fresh[0] as AssignmentGiven);
    desk.pass(500);
    desk.send({ kind: "tick" });
    desk.close();
    const weights = lastOf(desk, "version-published").contributions.map(({ weight }) => f32FromHex(weight));
    const stale = 1 / Math.SQRT2;
    expect(weights).toEqual([Math.fround(stale / (stale + 1)), Math.fround(1 / (stale + 1))]);
  });

  it("of kind quorum closes at its deadline with fewer, but not below an eighth of who is here", () => {
    const many = Array.from({ length: 17 }, (_, index) => index + 1);
    const desk = openDesk(many, localStepsOf({ rounds: quorum(8) }, { round: { leaseMs: 2_000, deadlineMs: 10_000, maxStaleness: 2 } }));
    const given = takeAll(desk, [1, 2, 3]);
    for (const assignment of given.slice(0, 2)) desk.answer(assignment);
    desk.pass(10_000);
    expect(typesOf(desk.send({ kind: "tick" }))).not.toContain("round-closing");
    // A late answer counts.
    expect(typesOf(desk.answer(given[2] as AssignmentGiven))).toEqual(["contribution-admitted", "round-closing"]);
  });

  it("of kind async closes with a quarter of who is here, and gives work on while it does", () => {
    const many = Array.from({ length: 9 }, (_, index) => index + 1);
    const desk = openDesk(many, localStepsOf({ rounds: ASYNC }));
    const given = takeAll(desk, many);
    desk.answer(given[0] as AssignmentGiven);
    desk.answer(given[1] as AssignmentGiven);
    expect(whyWaiting(desk.state, desk.nowMs)).toBe(
      "Round 1 closes with the next 1 contribution: 2 contributions of 3 are in, 7 leases out.",
    );
    expect(typesOf(desk.answer(given[2] as AssignmentGiven))).toEqual(["contribution-admitted", "round-closing"]);
    const meanwhile = desk.take(1);
    expect(meanwhile).toMatchObject({ lease: "0.9", version: 0 });
    desk.close();
    expect(desk.state).toMatchObject({ version: 1, position: 80 });
    expect(effectOf(desk.answer(meanwhile).effects, "verdict")?.verdict).toEqual({ ok: true, version: 2 });
  });

  it("takes back what is computed on too old a base, and gives it again on the newest weights", () => {
    const desk = openDesk(
      [1, 2, 3],
      localStepsOf({ rounds: ASYNC, versions: 100 }, { round: { leaseMs: 2_000, deadlineMs: 3_600_000, maxStaleness: 2 } }),
    );
    const slow = desk.take(1);
    const settleOne = () => {
      desk.answer(desk.take(2));
      return desk.close();
    };
    settleOne();
    settleOne();
    expect(verdictOf(desk.send({ kind: "contribution", header: headerOf(desk, slow), signature: SIGNATURE, norm: 1 }, 0))).toBe("admitted");
    const third = settleOne();
    expect(third.events[0]).toEqual({ type: "assignment-ended", lease: slow.lease, attempt: 1, volunteer: key(1), reason: "round-closed" });
    expect(effectOf(third.effects, "revoke")).toMatchObject({ volunteer: key(1), reason: "round-closed" });
    expect(verdictOf(desk.answer(slow))).toBe("lease-expired");
    const again = desk.take(2);
    expect(again).toMatchObject({ lease: slow.lease, attempt: 2, version: 3, start: slow.start });
    expect(verdictOf(desk.answer(again))).toBe("admitted");
  });

  it("refuses a late answer on too old a base as stale, and an answer to what is counted as a duplicate or settled", () => {
    const desk = openDesk([1, 2, 3], localStepsOf({ rounds: ASYNC, versions: 100 }));
    const slow = desk.take(1);
    desk.pass(11_000);
    desk.send({ kind: "tick" });
    const counted = desk.take(2);
    expect(counted).toMatchObject({ lease: slow.lease, attempt: 2 });
    desk.send({ kind: "release", volunteer: key(2), lease: counted.lease, attempt: 2 });
    for (let version = 1; version <= 3; version += 1) {
      const given = desk.take(2);
      if (given.lease === slow.lease) throw new Error("the lease came back to who gave it back");
      desk.answer(given);
      desk.close();
      expect(verdictOf(desk.answer(given))).toBe("duplicate");
      expect(verdictOf(desk.answer(given, { sha256: "c".repeat(64) }))).toBe("stale");
    }
    expect(verdictOf(desk.answer(slow))).toBe("stale");
  });

  it("ends with its last version: answers that could not be counted any more are refused, and nobody holds anything", () => {
    const desk = openDesk([1, 2, 3], localStepsOf({ rounds: { kind: "async", buffer: 2 }, versions: 1 }));
    const given = takeAll(desk, [1, 2, 3]);
    desk.answer(given[0] as AssignmentGiven);
    desk.answer(given[2] as AssignmentGiven);
    expect(verdictOf(desk.answer(given[1] as AssignmentGiven))).toBe("run-not-active");
    expect(desk.ask(1)).toBeNull();
    expect(typesOf(desk.close())).toEqual(["assignment-ended", "version-published", "run-finished"]);
    expect(desk.state).toMatchObject({ phase: "finished", round: null, carried: null, pending: [{ start: 8, length: 8 }] });
    expect([...desk.state.volunteers.values()].every(({ open }) => open.length === 0)).toBe(true);
  });

  it("goes on after a crash between a version and the next opening", () => {
    const desk = openDesk([1, 2], localStepsOf({ rounds: { kind: "async", buffer: 1 } }));
    const slow = desk.take(1);
    desk.answer(desk.take(2));
    desk.send({ kind: "closed", base: 0, weights: blob(101), optimizer: blob(1_001), norm: 1, lossMean: 1 }, 1);
    desk.restart();
    expect(desk.state).toMatchObject({ round: null, version: 1 });
    expect(openAssignmentsOf(desk.state, key(1))).toEqual([slow]);
    expect(verdictOf(desk.answer(slow))).toBe("unavailable");
    expect(typesOf(desk.send({ kind: "leave", volunteer: key(2), reason: "silent" }))).toEqual(["volunteer-left"]);
    expect(typesOf(desk.send({ kind: "tick" }))).toEqual(["round-opened"]);
    expect(verdictOf(desk.answer(slow))).toBe("admitted");
  });
});

describe("what a version leaves uncounted", () => {
  it("comes back when the run is rolled back to it, and is cut first", () => {
    const desk = openDesk([1, 2, 3], localStepsOf({ rounds: { kind: "async", buffer: 1 }, versions: 100 }));
    const [, , third] = takeAll(desk, [1, 2, 3]);
    desk.answer(third as AssignmentGiven);
    desk.close();
    const point = pointOf(desk.state);
    expect(point).toMatchObject({ position: 24, pending: [{ start: 0, length: 16 }] });
    desk.answer(desk.take(3));
    const { events } = desk.send({ kind: "roll-back", by: "admin", point: { ...point } });
    expect(events).toEqual([]);
    desk.close();
    desk.send({ kind: "roll-back", by: "admin", point });
    expect(pointOf(desk.state)).toMatchObject({ version: 3, position: 24, pending: [{ start: 0, length: 16 }] });
    expect([desk.take(1), desk.take(2), desk.take(3)].map(({ start, samples }) => [start, samples])).toEqual([
      [0, 8],
      [8, 8],
      [24, 8],
    ]);
  });

  it("is where a run that goes on from it begins", () => {
    const origin = {
      change: "resume",
      run: "other",
      version: 7,
      seq: 1,
      head: "0".repeat(64),
      position: 24,
      steps: 2,
      pending: [{ start: 4, length: 6 }],
      optimizer: null,
    } as const;
    const desk = createDesk(localStepsOf(), { origin: { ...origin, pending: [...origin.pending] } });
    desk.send({ kind: "tick" });
    desk.join(1, 2);
    // A range that is shorter than a lease is a lease of its own.
    expect(takeAll(desk, [1, 2]).map(({ lease, start, samples }) => [lease, start, samples])).toEqual([
      ["7.0", 4, 6],
      ["7.1", 24, 8],
    ]);
  });
});

describe("a schedule by samples", () => {
  const schedule = { kind: "linear", by: "samples", warmupSamples: 0, samples: 100, finalFraction: 0 } as const;
  const inner = { ...localStepsOf().training.inner, schedule };
  const rateOf = ({ learningRate }: AssignmentGiven): number => f32FromHex(learningRate ?? expect.fail());

  it("goes by what each lease's weights have counted, late answers and roll-backs included", () => {
    const desk = openDesk([1, 2, 3], localStepsOf({ rounds: { kind: "async", buffer: 1 }, versions: 100, inner }));
    const [first, second, third] = takeAll(desk, [1, 2, 3]) as [AssignmentGiven, AssignmentGiven, AssignmentGiven];
    expect([first, second, third].map(rateOf)).toEqual([0.1, 0.1, 0.1].map(Math.fround));
    desk.answer(third);
    desk.close();
    // Eight of 24 positions are counted; the others are pending.
    const point = pointOf(desk.state);
    const fourth = desk.take(3);
    expect(rateOf(fourth)).toBe(Math.fround(0.1 * 0.92));
    desk.answer(first);
    desk.close();
    expect(rateOf(desk.take(1))).toBe(Math.fround(0.1 * 0.84));
    desk.send({ kind: "roll-back", by: "admin", point });
    expect(rateOf(desk.take(2))).toBe(Math.fround(0.1 * 0.92));
    desk.restart();
    expect(rateOf(desk.take(1))).toBe(Math.fround(0.1 * 0.92));
  });

  it("goes on where the version stood from which a run begins", () => {
    const at = { change: "resume", run: "other", version: 7, seq: 1, head: "0".repeat(64), steps: 2, optimizer: null } as const;
    const desk = createDesk(localStepsOf({ inner }), { origin: { ...at, position: 24, pending: [{ start: 4, length: 6 }] } });
    desk.send({ kind: "tick" });
    desk.join(1);
    expect(rateOf(desk.take(1))).toBe(Math.fround(0.1 * 0.82));
  });
});

describe("visits to clients", () => {
  const sampler = { kind: "clients", clients: 3, perRound: 2, epochs: 5, partition: { kind: "iid" } } as const;
  it("are leases of one position and all of a client's samples", () => {
    const { work: _, ...training } = localStepsOf({ rounds: { kind: "all", leases: 2 } }).training;
    const desk = createDesk({ ...localStepsOf(), sampler, training }, { clients: [10, 20, 30] });
    desk.send({ kind: "tick" });
    desk.join(1, 2);
    const given = takeAll(desk, [1, 2]);
    expect(given.map(({ start }) => start)).toEqual([0, 1]);
    for (const { samples } of given) expect([50, 100, 150]).toContain(samples);
    expect(given[0]?.samples).not.toBe(given[1]?.samples);
    for (const assignment of given) desk.answer(assignment);
    desk.close();
    expect(desk.state).toMatchObject({ position: 2, version: 1 });
    const wrong = { ...lastOf(desk, "lease-assigned"), lease: "1.0", attempt: 1, start: 2, samples: 51, base: 1 };
    expect(() => evolve(desk.state, wrong, desk.nowMs)).toThrow(ImpossibleEvent);
  });
});

describe("an assignment's codec", () => {
  it("follows from the number of contributions where the run leaves it open", () => {
    for (const [leases, codec] of [
      [2, "int8"],
      [3, "int4"],
      [7, "int4"],
      [8, "ternary"],
    ] as const) {
      const desk = openDesk([1], localStepsOf({ codec: "auto", rounds: { kind: "all", leases } }));
      const given = desk.take(1);
      expect([given.codec, lastOf(desk, "lease-assigned").codec]).toEqual([codec, codec]);
      expect(verdictOf(desk.answer(given, { codec: "f32" }))).toBe("wrong-codec");
    }
  });

  it("is one with error feedback only for who has settled five leases", () => {
    const desk = openDesk([1], localStepsOf({ codec: "topk", rounds: { kind: "all", leases: 10 } }));
    for (let settled = 0; settled < 5; settled += 1) {
      const given = desk.take(1);
      expect(given.codec).toBe("ternary");
      desk.answer(given);
    }
    expect(desk.take(1).codec).toBe("topk");
    expect(lastOf(desk, "lease-assigned").codec).toBeUndefined();
  });
});

describe("the rules of rounds", () => {
  it("have the numbers that they promise", () => {
    expect([1, 4, 5, 8, 200].map((present) => contributionsWanted({ kind: "async", buffer: "auto" }, present))).toEqual([1, 1, 2, 2, 50]);
    expect([1, 40, 41].map((present) => contributionsWanted({ kind: "async", buffer: 10 }, present))).toEqual([10, 10, 11]);
    expect([0, 1, 8, 9, 17].map(leastAtDeadline)).toEqual([1, 1, 1, 2, 3]);
    for (let leases = 1; leases <= 100; leases += 1) {
      expect(quorumOf({ kind: "quorum", leases, share: 0.7 })).toBe(Math.ceil((7 * leases) / 10));
      expect(quorumOf({ kind: "quorum", leases })).toBe(Math.ceil((7 * leases) / 10));
    }
  });

  it("weigh by samples, less where the base is old, in parts of one", () => {
    const weights = contributionWeights([
      { samples: 10, staleness: 0 },
      { samples: 40, staleness: 3 },
      { samples: 10, staleness: 0 },
    ]);
    expect(weights).toEqual([0.25, 0.5, 0.25]);
  });
});
