import { f32ToHex } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { blob, closedOf, createDesk, type Desk, effectOf, key, kindsOf, openDesk, specOf, typesOf, verdictOf } from "../test/desk.ts";
import { evolve, foldRun, ImpossibleEvent } from "./evolve.ts";
import { openAssignmentsOf, pointOf, type VersionPoint } from "./state.ts";

const fill = (desk: Desk, volunteer = 1) => desk.answer(desk.take(volunteer, 1_000));
/** Trains so many versions; gives the point of each that was made, by version. */
const train = (desk: Desk, versions: number): Map<number, VersionPoint> => {
  const points = new Map([[desk.state.version, pointOf(desk.state)]]);
  for (let version = 0; version < versions; version += 1) {
    while (desk.state.round?.samplesIn !== desk.state.round?.samples) fill(desk);
    desk.close();
    points.set(desk.state.version, pointOf(desk.state));
  }
  return points;
};
const pointAt = (points: ReadonlyMap<number, VersionPoint>, version: number): VersionPoint => {
  const point = points.get(version);
  if (point === undefined) throw new Error(`no version ${version}`);
  return point;
};
const rollBack = (desk: Desk, point: VersionPoint) => desk.send({ kind: "roll-back", by: "ada", point });

describe("rolling back", () => {
  it("makes a new version with the old one's weights, optimiser state, position and steps, and opens a round there", () => {
    const desk = openDesk([1], specOf({ versions: 8, schedule: { kind: "linear", warmupVersions: 0, finalFraction: 0 } }));
    const points = train(desk, 5);
    const { events, effects } = rollBack(desk, pointAt(points, 2));
    expect(events).toEqual([
      {
        type: "run-rolled-back",
        version: 6,
        to: 2,
        by: "ada",
        weights: blob(102),
        optimizer: blob(1_002),
        position: 48,
        steps: 2,
        abandoned: [],
      },
      { type: "round-opened", base: 6, start: 48, samples: 24, learningRate: f32ToHex(0.5 * 0.75) },
    ]);
    expect(effects).toEqual([
      { kind: "evaluate", version: 6, weights: blob(102) },
      { kind: "announce", version: 6 },
    ]);
    expect(desk.state).toMatchObject({ phase: "running", version: 6, weights: blob(102), optimizer: blob(1_002), position: 48, steps: 2 });
    expect(desk.take(1)).toMatchObject({ lease: "6.0", start: 48, version: 6 });
  });

  it("goes by steps from there on: the run ends as many rounds later as it would have from the old version", () => {
    const desk = openDesk([1], specOf({ versions: 4 }));
    const points = train(desk, 3);
    rollBack(desk, pointAt(points, 1));
    train(desk, 2);
    expect(desk.state).toMatchObject({ phase: "running", version: 6, steps: 3, position: 72 });
    fill(desk);
    expect(typesOf(desk.close())).toEqual(["version-published", "run-finished"]);
    expect(desk.state).toMatchObject({ phase: "finished", version: 7, steps: 4, position: 96 });
    // The last version is evaluated and kept although its number is not a multiple of anything.
    expect([desk.state.owed.evaluations.has(7), desk.state.owed.checkpoints.has(7)]).toEqual([true, true]);
  });

  it("ends what is held, names what was admitted and will not be counted, and takes nothing more of that round", () => {
    const desk = openDesk([1, 2, 3]);
    const points = train(desk, 1);
    const [settled, held] = [desk.take(1), desk.take(2)];
    desk.answer(settled);
    const decision = rollBack(desk, pointAt(points, 0));
    expect(decision.events.slice(0, 2)).toMatchObject([
      { type: "assignment-ended", lease: held.lease, attempt: 1, volunteer: key(2), reason: "rolled-back" },
      { type: "run-rolled-back", version: 2, to: 0, optimizer: null, abandoned: [{ lease: settled.lease, volunteer: key(1), samples: 4 }] },
    ]);
    expect(effectOf(decision.effects, "revoke")).toMatchObject({ volunteer: key(2), reason: "rolled-back" });
    expect(verdictOf(desk.answer(held))).toBe("stale");
    expect(openAssignmentsOf(desk.state, key(2))).toEqual([]);
    // What it computed was its work all the same.
    expect(desk.state.volunteers.get(key(1))?.leasesSettled).toBeGreaterThan(1);
  });

  it("ignores the closing of the round that it gave up", () => {
    const desk = openDesk([1]);
    const points = train(desk, 2);
    fill(desk);
    rollBack(desk, pointAt(points, 1));
    expect(desk.send(closedOf(2)).events).toEqual([]);
    fill(desk);
    expect(desk.send(closedOf(2)).events).toEqual([]);
    expect(desk.close().events[0]).toMatchObject({ type: "version-published", version: 4 });
  });

  it("leaves a paused run paused, makes a finished one paused, and does nothing to a stopped one", () => {
    const desk = openDesk([1], specOf({ versions: 2 }));
    const points = train(desk, 1);
    desk.send({ kind: "pause", by: "ada" });
    expect(kindsOf(rollBack(desk, pointAt(points, 0)))).not.toContain("announce");
    expect(desk.state.phase).toBe("paused");
    expect(effectOf(desk.send({ kind: "request-lease", volunteer: key(1), samplesPerSecond: 1 }).effects, "no-lease")?.code).toBe(
      "run-not-active",
    );
    desk.send({ kind: "resume", by: "ada" });
    train(desk, 2);
    expect(desk.state.phase).toBe("finished");
    expect(typesOf(rollBack(desk, pointAt(points, 1)))).toEqual(["run-rolled-back", "round-opened"]);
    expect(desk.state).toMatchObject({ phase: "paused", steps: 1 });
    desk.send({ kind: "stop", by: "ada" });
    expect(rollBack(desk, pointAt(points, 0)).events).toEqual([]);
  });

  it("goes back to an earlier version alone, one that was undone included", () => {
    const desk = openDesk([1]);
    const points = train(desk, 3);
    expect(rollBack(desk, pointAt(points, 3))).toMatchObject({ events: [], reason: expect.stringContaining("at version 3") });
    expect(rollBack(desk, { ...pointAt(points, 3), version: 9 }).events).toEqual([]);
    rollBack(desk, pointAt(points, 1));
    rollBack(desk, pointAt(points, 3));
    expect(desk.state).toMatchObject({ version: 5, steps: 3, position: 72, weights: blob(103) });
  });

  it("to the last step, which another roll-back had undone, finishes the run", () => {
    const desk = openDesk([1], specOf({ versions: 2 }));
    const points = train(desk, 2);
    rollBack(desk, pointAt(points, 1));
    expect(typesOf(rollBack(desk, pointAt(points, 2)))).toEqual(["run-rolled-back", "run-finished"]);
    expect(desk.state.phase).toBe("finished");
  });

  it("asks for the new version's evaluation until it is in, and for nothing of what is undone", () => {
    const desk = openDesk([1]);
    const points = train(desk, 2);
    expect([...desk.state.owed.evaluations.keys(), ...desk.state.owed.checkpoints.keys()]).toEqual([0, 2, 2]);
    rollBack(desk, pointAt(points, 1));
    const owed = () => desk.send({ kind: "tick" }).effects.flatMap((effect) => ("version" in effect ? [effect.version] : []));
    expect(owed()).toEqual([0, 3]);
    expect(desk.send({ kind: "checkpointed", version: 2, archive: blob(7) }).events).toEqual([]);
    desk.send({ kind: "evaluated", version: 3, evaluation: { lossMean: f32ToHex(1), accuracy: null, samples: 10 } });
    expect(owed()).toEqual([0]);
  });

  it("is carried through by the next tick where the ledger was torn behind it, and folds to the live state", () => {
    const desk = openDesk([1]);
    const points = train(desk, 2);
    desk.take(1);
    // The end of the assignment and the roll-back are stored, the opening is not.
    desk.send({ kind: "roll-back", by: "ada", point: pointAt(points, 1) }, 2);
    desk.restart();
    expect(typesOf(desk.send({ kind: "tick" }))).toEqual(["round-opened"]);
    expect(foldRun(desk.records)).toEqual(desk.state);
    expect(desk.take(1).start).toBe(24);
  });

  it("is refused by the fold where it does not name what it gives up, or does not follow", () => {
    const refused = (change: Record<string, unknown>): void => {
      const desk = openDesk([1]);
      const points = train(desk, 1);
      desk.answer(desk.take(1));
      const { events } = desk.send({ kind: "roll-back", by: "ada", point: pointAt(points, 0) }, 0);
      expect(() => evolve(desk.state, { ...events[0], ...change } as never, desk.nowMs)).toThrow(ImpossibleEvent);
    };
    refused({ abandoned: [] });
    refused({ version: 3 });
    refused({ to: 1 });
  });
});

describe("a run that goes on from another's version", () => {
  it("begins with that version's number, position, steps and optimiser state", () => {
    const spec = specOf({ versions: 8 });
    const parent = openDesk([1], spec);
    const { position, steps, optimizer } = pointAt(train(parent, 3), 3);
    const origin = { change: "resume", run: "other", version: 3, seq: 40, head: "7".repeat(64), position, steps, optimizer } as const;
    const desk = createDesk(spec, { weights: blob(103), origin });
    expect(desk.send({ kind: "tick" }).events).toEqual(parent.records.slice(-1).map(({ event }) => event));
    desk.join(1);
    expect(desk.take(1)).toMatchObject({ lease: "3.0", start: 72, version: 3, weights: blob(103) });
    expect(desk.state).toMatchObject({ version: 3, optimizer: blob(1_003), position: 72, steps: 3 });
    expect([...desk.state.owed.evaluations.keys()]).toEqual([3]);
  });
});
