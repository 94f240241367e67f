import { f32ToHex } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import {
  blob,
  closedOf,
  createDesk,
  DEVICE,
  type Desk,
  effectOf,
  headerOf,
  key,
  kindsOf,
  openDesk,
  SIGNATURE,
  specOf,
  typesOf,
  verdictOf,
} from "../test/desk.ts";
import { evolve, foldRun, ImpossibleEvent } from "./evolve.ts";
import { whyWaiting } from "./reasons.ts";
import { openAssignmentsOf, roundLeases } from "./state.ts";
import { RESTART_GRACE_MS } from "./tick.ts";

/** The whole batch in one lease, answered. */
const fill = (desk: Desk, volunteer = 1) => desk.answer(desk.take(volunteer, 1_000));
const evaluation = { lossMean: f32ToHex(1), accuracy: f32ToHex(0.5), samples: 10 };

describe("a round", () => {
  it("is opened by the first tick, which also asks for the evaluation of version 0", () => {
    const { events, effects } = createDesk().send({ kind: "tick" });
    expect(events).toEqual([{ type: "round-opened", base: 0, start: 0, samples: 24, learningRate: f32ToHex(0.5) }]);
    expect(effects).toEqual([
      { kind: "announce", version: 0 },
      { kind: "evaluate", version: 0, weights: blob(100) },
    ]);
  });

  it("closes when its whole batch is in, with the contributions by position whatever order they came in", () => {
    const desk = openDesk([1, 2, 3]);
    const given = [desk.take(1, 1_000), desk.take(2, 1_000), desk.take(3, 1_000), desk.take(1, 1_000)];
    expect(given.map(({ samples }) => samples).reduce((sum, samples) => sum + samples)).toBe(24);
    const decisions = given.toReversed().map((assignment) => desk.answer(assignment));
    expect(decisions.map((decision) => kindsOf(decision).includes("close-round"))).toEqual([false, false, false, true]);
    const { round } = effectOf(decisions.at(-1)?.effects ?? [], "close-round") ?? {};
    expect(round).toMatchObject({ base: 0, weights: blob(100), optimizer: null, learningRate: 0.5 });
    expect(round?.contributions.map(({ lease }) => lease)).toEqual(["0.0", "0.1", "0.2", "0.3"]);
    expect(round?.contributions[0]).toMatchObject({ volunteer: key(1), samples: 8, codec: "f32", lossMean: 1.5 });
  });

  it("publishes the next version with weights by samples, and opens the next round with the version's optimiser state", () => {
    const desk = openDesk([1]);
    desk.answer(desk.take(1));
    desk.answer(desk.take(1, 1_000));
    const { events } = desk.close();
    expect(events.map(({ type }) => type)).toEqual(["version-published", "round-opened"]);
    expect(events[0]).toMatchObject({
      version: 1,
      samples: 24,
      contributions: [
        { lease: "0.0", samples: 4, weight: f32ToHex(4 / 24), reason: null },
        { lease: "0.1", samples: 20, weight: f32ToHex(20 / 24) },
      ],
    });
    expect(events[1]).toMatchObject({ base: 1, start: 24 });
    expect(effectOf(fill(desk).effects, "close-round")?.round).toMatchObject({ base: 1, weights: blob(101), optimizer: blob(1_001) });
  });

  it("ignores a version that nobody waits for: twice the same, too early, or after the run was stopped", () => {
    const desk = openDesk([1]);
    expect(desk.send(closedOf(0)).events).toEqual([]);
    fill(desk);
    expect(desk.send(closedOf(1)).events).toEqual([]);
    expect(desk.close().events.length).toBe(2);
    expect(desk.send(closedOf(0)).events).toEqual([]);
    fill(desk);
    desk.send({ kind: "stop", by: "admin" });
    expect(desk.send(closedOf(1)).events).toEqual([]);
  });

  it("ends the run at the last version, which is evaluated and kept", () => {
    const desk = openDesk([1], specOf({ versions: 3 }));
    const decisions = [0, 1, 2].map(() => {
      fill(desk);
      return desk.close();
    });
    expect(decisions.map(kindsOf)).toEqual([["announce"], ["evaluate", "announce"], ["evaluate", "announce"]]);
    expect(typesOf(decisions[2] as never)).toEqual(["version-published", "run-finished"]);
    expect(desk.state).toMatchObject({ phase: "finished", version: 3, round: null });
  });
});

describe("what is owed", () => {
  it("is asked for on every tick until it is recorded, and a checkpoint waits for its version's evaluation", () => {
    const desk = openDesk([1]);
    for (let version = 1; version <= 2; version += 1) {
      fill(desk);
      desk.close();
    }
    const owed = () =>
      desk.send({ kind: "tick" }).effects.map((effect) => ("version" in effect ? `${effect.kind} ${effect.version}` : effect.kind));
    expect(owed()).toEqual(["evaluate 0", "evaluate 2"]);
    desk.restart();
    expect(owed()).toEqual(["evaluate 0", "evaluate 2"]);
    expect(desk.send({ kind: "evaluated", version: 2, evaluation }).effects).toEqual([{ kind: "checkpoint", version: 2 }]);
    desk.send({ kind: "evaluated", version: 0, evaluation });
    expect(desk.send({ kind: "evaluated", version: 0, evaluation }).events).toEqual([]);
    expect(owed()).toEqual(["checkpoint 2"]);
    const written = { kind: "checkpointed", version: 2, archive: blob(7) } as const;
    expect(typesOf(desk.send(written))).toEqual(["checkpoint-written"]);
    expect(desk.send(written).events).toEqual([]);
    expect(owed()).toEqual([]);
  });

  it("includes the closing of a complete round after a restart", () => {
    const desk = openDesk([1]);
    const before = effectOf(fill(desk).effects, "close-round");
    desk.restart();
    expect(effectOf(desk.send({ kind: "tick" }).effects, "close-round")).toEqual(before);
  });

  it("includes the round, or the end, that was to follow a version when the ledger was torn between the two", () => {
    const desk = openDesk([1], specOf({ versions: 2 }));
    fill(desk);
    desk.send(closedOf(0), 1);
    desk.restart();
    expect(typesOf(desk.send({ kind: "tick" }))).toEqual(["round-opened"]);
    fill(desk);
    desk.send(closedOf(1), 1);
    desk.restart();
    expect(typesOf(desk.send({ kind: "tick" }))).toEqual(["run-finished"]);
  });

  it("includes the end of a rival's assignment when the ledger was torn after the admission", () => {
    const desk = openDesk([1, 2], specOf({ samplesPerVersion: 8 }));
    const given = desk.take(1);
    desk.take(1);
    desk.pass(5_000);
    const again = desk.take(2);
    desk.send({ kind: "contribution", header: headerOf(desk, again), signature: SIGNATURE, norm: 1 }, 1);
    desk.restart();
    expect(desk.send({ kind: "tick" }).events).toEqual([
      { type: "assignment-ended", lease: given.lease, attempt: 1, volunteer: key(1), reason: "settled-by-another" },
    ]);
  });
});

describe("a ledger torn after an admission", () => {
  it("leaves nobody holding a lease of a version that is out", () => {
    const desk = openDesk([1, 2], specOf({ samplesPerVersion: 4 }));
    desk.take(1);
    desk.pass(5_000);
    const again = desk.take(2);
    desk.send({ kind: "contribution", header: headerOf(desk, again), signature: SIGNATURE, norm: 1 }, 1);
    desk.restart();
    desk.close();
    expect(desk.state.volunteers.get(key(1))?.open).toEqual([]);
    expect(desk.ask(1)).toMatchObject({ lease: "1.0" });
  });
});

describe("volunteers", () => {
  it("that leave give their leases back at once", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1);
    const decision = desk.send({ kind: "leave", volunteer: key(1), reason: "goodbye" });
    expect(decision.events).toEqual([
      { type: "assignment-ended", lease: given.lease, attempt: 1, volunteer: key(1), reason: "left" },
      { type: "volunteer-left", volunteer: key(1), reason: "goodbye" },
    ]);
    expect(decision.effects).toEqual([{ kind: "announce", version: 0 }]);
    expect(desk.take(2).lease).toBe(given.lease);
    expect(desk.send({ kind: "leave", volunteer: key(1), reason: "goodbye" }).events).toEqual([]);
  });

  it("keep their leases over a restart of the coordinator while the deadline has not passed", () => {
    const desk = openDesk([1]);
    const given = desk.take(1);
    desk.restart();
    desk.join(1);
    expect(openAssignmentsOf(desk.state, key(1))).toEqual([given]);
    expect(verdictOf(desk.answer(given))).toBe("admitted");
  });

  it("that do not come back after a restart leave when the grace is over; those who came back stay", () => {
    const desk = openDesk([1, 2]);
    desk.take(1);
    desk.take(2);
    desk.pass(1_000);
    desk.restart();
    const upSinceMs = desk.nowMs;
    desk.join(2);
    desk.pass(RESTART_GRACE_MS - 6_001);
    expect(typesOf(desk.send({ kind: "tick", upSinceMs })).includes("volunteer-left")).toBe(false);
    desk.pass(6_001);
    const { events } = desk.send({ kind: "tick", upSinceMs });
    expect(events.filter(({ type }) => type === "volunteer-left")).toEqual([
      { type: "volunteer-left", volunteer: key(1), reason: "restart" },
    ]);
    expect(desk.state.volunteers.has(key(1))).toBe(false);
    expect(desk.state.present).toBe(1);
  });

  it("that are blocked lose their leases, get none, are not heard, and can be let in again", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1);
    const block = { kind: "block", volunteer: key(1), by: "admin" } as const;
    expect(typesOf(desk.send(block))).toEqual(["volunteer-blocked", "assignment-ended", "volunteer-left"]);
    expect(desk.send(block).events).toEqual([]);
    expect(verdictOf(desk.answer(given))).toBe("blocked");
    expect(desk.send({ kind: "join", volunteer: key(1), name: null, device: DEVICE }).events).toEqual([]);
    expect(effectOf(desk.send({ kind: "request-lease", volunteer: key(1), samplesPerSecond: 1 }).effects, "no-lease")?.code).toBe(
      "blocked",
    );
    desk.send({ kind: "unblock", volunteer: key(1), by: "admin" });
    desk.join(1);
    expect(desk.take(1).lease).toBe(given.lease);
  });

  it("that came and went without a settled lease are forgotten", () => {
    const desk = openDesk([1]);
    for (let stranger = 10; stranger < 60; stranger += 1) {
      desk.join(stranger);
      desk.send({ kind: "leave", volunteer: key(stranger), reason: "silent" });
    }
    expect([...desk.state.volunteers.keys()]).toEqual([key(1)]);
  });
});

describe("commands", () => {
  it("that do not fit the phase change nothing and say why", () => {
    const desk = openDesk([1]);
    const resume = desk.send({ kind: "resume", by: "admin" });
    expect(resume).toEqual({ events: [], effects: [], reason: "The run is running; it cannot resume." });
    desk.send({ kind: "stop", by: "admin" });
    for (const kind of ["pause", "resume", "stop"] as const) expect(desk.send({ kind, by: "admin" }).events).toEqual([]);
  });
});

describe("the reason a run waits", () => {
  const reason = (desk: Desk) => whyWaiting(desk.state, desk.nowMs);
  it("is a sentence that follows the round", () => {
    const desk = createDesk(specOf({ samplesPerVersion: 8 }));
    expect(reason(desk)).toBe("Round 1 is about to open.");
    desk.send({ kind: "tick" });
    expect(reason(desk)).toBe("Round 1 waits for a volunteer: 0 of 8 samples are in.");
    desk.join(1, 2);
    expect(reason(desk)).toBe("Round 1 waits for somebody to take 8 samples.");
    const first = desk.take(1);
    expect(reason(desk)).toBe("Round 1 waits for 1 more contribution and has 4 samples to give, 10 s to the next deadline.");
    const second = desk.take(2);
    desk.pass(3_500);
    expect(desk.send({ kind: "tick" }).reason).toBe("Round 1 waits for 2 more contributions, 7 s to the next deadline.");
    desk.answer(first);
    desk.answer(second);
    expect(reason(desk)).toBe("Round 1 has its whole batch; the next version is being made.");
    desk.send({ kind: "pause", by: "admin" });
    expect(reason(desk)).toBe("The run is paused.");
    desk.send({ kind: "stop", by: "admin" });
    expect(reason(desk)).toBe("The run was stopped at version 0.");
  });
});

describe("the state", () => {
  it("shows the round's leases as they are in, out and waiting", () => {
    const desk = openDesk([1, 2, 3]);
    desk.answer(desk.take(1));
    desk.take(2);
    const back = desk.take(3);
    desk.send({ kind: "release", volunteer: key(3), lease: back.lease, attempt: 1 });
    expect(roundLeases(desk.state).map(({ state, volunteer }) => [state, volunteer])).toEqual([
      ["in", key(1)],
      ["out", key(2)],
      ["waiting", null],
    ]);
  });

  it("refuses a ledger that no coordinator can have written", () => {
    const desk = openDesk([1]);
    const given = desk.take(1);
    const assigned = desk.records.at(-1)?.event;
    const broken = [
      { ...assigned, attempt: 1 },
      { ...assigned, lease: "0.5", attempt: 1 },
      { ...assigned, lease: "0.1", attempt: 1, start: 8 },
      { ...assigned, lease: "0.1", attempt: 1, start: 4, samples: 21 },
      { type: "assignment-ended", lease: "0.0", attempt: 1, volunteer: key(2), reason: "left" },
      { type: "assignment-ended", lease: "0.9", attempt: 1, volunteer: key(1), reason: "left" },
      { type: "round-opened", base: 0, start: 0, samples: 24, learningRate: "00000000" },
      desk.records[0]?.event,
    ];
    for (const event of broken) expect(() => evolve(desk.state, event as never, desk.nowMs)).toThrow(ImpossibleEvent);
    expect(() => foldRun(desk.records.slice(1))).toThrow(ImpossibleEvent);
    expect(foldRun([])).toBeNull();
    expect(verdictOf(desk.answer(given))).toBe("admitted");
  });

  it("folds a ledger of 6,000 records to the live state", () => {
    const desk = openDesk([1, 2], specOf({ versions: 1_000_000, samplesPerVersion: 8 }));
    while (desk.records.length < 6_000) {
      const given = [desk.take(1), desk.take(2)];
      for (const assignment of given) desk.answer(assignment);
      desk.close();
    }
    expect(foldRun(desk.records)).toEqual(desk.state);
  });

  it("serves 1,000 volunteers for 10,000 inputs", () => {
    const volunteers = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const desk = openDesk(volunteers, specOf({ versions: 1_000, samplesPerVersion: 4_000 }));
    let inputs = 0;
    while (inputs < 10_000) {
      const given = volunteers.flatMap((volunteer) => desk.ask(volunteer, 2) ?? []);
      for (const assignment of given) desk.answer(assignment);
      desk.send({ kind: "tick" });
      if (desk.state.round?.samplesIn === 4_000) desk.close();
      inputs += volunteers.length + given.length + 1;
    }
    expect(desk.state.version).toBeGreaterThanOrEqual(4);
  });
});
