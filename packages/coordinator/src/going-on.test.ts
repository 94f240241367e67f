// The commands that go back and go on: what fits is done and written, what does not is refused with a code and a sentence.
import { sha256 } from "@weft/ledger";
import { parameterCount } from "@weft/models";
import type { RunSpec, RunSpecOf } from "@weft/protocol";
import { MemoryDisk, memoryStorage, openFileStorage, type Storage, StorageFault } from "@weft/storage";
import { ScriptedVolunteer, TestCoordinator, TINY_SPEC, trainToTheEnd, unwrap } from "@weft/testkit";
import { describe, expect, test } from "vitest";
import type { Compute } from "./ports.ts";

const SPEC: RunSpecOf<"gradient"> = { ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: 4 } };

async function scene(
  options: { readonly compute?: (inner: Compute) => Compute; readonly storage?: Storage; readonly activeRuns?: number } = {},
) {
  const { compute, storage, activeRuns } = options;
  const kit = await TestCoordinator.start({
    ...(compute === undefined ? {} : { compute }),
    ...(storage === undefined ? {} : { storage }),
    ...(activeRuns === undefined ? {} : { limits: { activeRuns } }),
  });
  const run = await kit.createRun(SPEC);
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  const order = async (command: Record<string, unknown>) => {
    const reply = await kit.coordinator.command(command, "ada");
    await kit.coordinator.idle();
    return reply;
  };
  const trainTo = async (version: number): Promise<void> => {
    while ((kit.coordinator.detail(run)?.version ?? 0) < version) {
      unwrap(await volunteer.contribute(await volunteer.lease(run)));
      await kit.coordinator.idle();
    }
  };
  return { kit, run, volunteer, order, trainTo };
}

/** Storage that has lost, or finds damaged, whatever a test names. */
function losing(): { readonly storage: Storage; readonly lost: Set<string>; readonly damaged: Set<string> } {
  const inner = memoryStorage();
  const [lost, damaged] = [new Set<string>(), new Set<string>()];
  const get = async (name: string) => {
    if (damaged.has(name)) throw new StorageFault("damaged", `${name} does not match its hash`);
    return lost.has(name) ? null : inner.blobs.get(name);
  };
  return { storage: { ...inner, blobs: { ...inner.blobs, get } }, lost, damaged };
}

describe("roll-back", () => {
  test("takes the run back, revokes what is out, shows what is undone, and trains on to the end", async () => {
    const { kit, run, volunteer, order, trainTo } = await scene();
    await trainTo(3);
    const held = await volunteer.lease(run);
    const third = kit.coordinator.detail(run);
    expect(await order({ type: "roll-back", run, version: 1 })).toEqual({ ok: true, value: { run } });
    expect(volunteer.revoked.at(-1)).toMatchObject({ lease: held.lease, reason: "rolled-back" });
    const detail = kit.coordinator.detail(run);
    expect(detail).toMatchObject({ phase: "running", version: 4, steps: 1, rollBacks: [{ version: 4, to: 1, by: "ada" }] });
    expect(detail?.weights).not.toEqual(third?.weights);
    expect(detail?.versionPoints.map(({ version, undone }) => [version, undone === true])).toEqual([
      [1, false],
      [2, true],
      [3, true],
    ]);
    expect(detail?.checkpoints.map(({ version, undone }) => [version, undone === true])).toEqual([[2, true]]);
    expect(detail?.newestCheckpoint).toBeNull();
    // The version that came of it is evaluated, so that the curve shows where the run stands.
    expect(detail?.evaluations.at(-1)).toMatchObject({ version: 4, lossMean: detail?.evaluations[1]?.lossMean });
    expect(detail?.log.map(({ text }) => text)).toContain("Rolled back to v1 by ada: v4 has its weights");
    await trainToTheEnd(kit, [volunteer]);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 7, steps: 4 });
    expect(kit.coordinator.detail(run)?.newestCheckpoint).toMatchObject({ version: 7, samplesSeen: 32 });
  });

  test("while a round is closing lets its answer come to nothing", async () => {
    let open = (): void => undefined;
    let waits: Promise<void> = Promise.resolve();
    const slow = (inner: Compute): Compute => ({
      initialWeights: (model, seed) => inner.initialWeights(model, seed),
      takeIn: (upload) => inner.takeIn(upload),
      evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
      checkpoint: (input) => inner.checkpoint(input),
      closeRound: async (...given) => {
        const closed = await inner.closeRound(...given);
        await waits;
        return closed;
      },
    });
    const { kit, run, volunteer, order, trainTo } = await scene({ compute: slow });
    await trainTo(2);
    waits = new Promise((resolve) => {
      open = resolve;
    });
    while (kit.coordinator.detail(run)?.round.phase !== "closing") unwrap(await volunteer.contribute(await volunteer.lease(run)));
    const rolledBack = kit.coordinator.command({ type: "roll-back", run, version: 1 }, "ada");
    await rolledBack;
    expect(kit.coordinator.detail(run)).toMatchObject({ version: 3, steps: 1, round: { version: 4, phase: "collecting", samplesIn: 0 } });
    open();
    await kit.coordinator.idle();
    expect(kit.coordinator.detail(run)).toMatchObject({ version: 3, steps: 1 });
    expect(await order({ type: "roll-back", run, version: 3 })).toMatchObject({ ok: false, code: "bad-command" });
    await trainToTheEnd(kit, [volunteer]);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 6, steps: 4 });
    const records = await kit.records(run);
    const given = records.flatMap(({ event }) => (event.type === "run-rolled-back" ? event.abandoned : []));
    expect(given.reduce((sum, { samples }) => sum + samples, 0)).toBe(8);
  });

  test("is refused, and changes nothing, where the version is not there, is the newest, or the run is stopped or unknown", async () => {
    const { kit, run, order, trainTo } = await scene();
    await trainTo(1);
    const before = (await kit.records(run)).length;
    expect(await order({ type: "roll-back", run, version: 2 })).toMatchObject({ ok: false, code: "unknown-version" });
    expect(await order({ type: "roll-back", run, version: 1 })).toMatchObject({ ok: false, code: "bad-command" });
    expect(await order({ type: "roll-back", run: "nowhere", version: 0 })).toMatchObject({ ok: false, code: "unknown-run" });
    for (const version of [-1, 0.5, "0", null, undefined])
      expect(await order({ type: "roll-back", run, version })).toMatchObject({ ok: false, code: "bad-message" });
    expect((await kit.records(run)).length).toBe(before);
    await order({ type: "stop-run", run });
    expect(await order({ type: "roll-back", run, version: 0 })).toMatchObject({ ok: false, code: "bad-command" });
  });

  test("is refused where the version's weights or optimiser state are gone or damaged", async () => {
    const { storage, lost, damaged } = losing();
    const { kit, run, order, trainTo } = await scene({ storage });
    await trainTo(3);
    const second = (await kit.records(run)).find(({ event }) => event.type === "version-published" && event.version === 2)?.event;
    if (second?.type !== "version-published") throw new Error("no second version");
    const back = { type: "roll-back", run, version: 2 };
    for (const { sha256 } of [second.weights, second.optimizer]) {
      lost.add(sha256);
      expect(await order(back)).toMatchObject({ ok: false, code: "unknown-blob", message: expect.stringContaining(sha256) });
      lost.clear();
      damaged.add(sha256);
      expect(await order(back)).toMatchObject({ ok: false, code: "damaged" });
      expect(await order({ ...back, type: "resume-from" })).toMatchObject({ ok: false, code: "damaged" });
      damaged.clear();
    }
    expect(kit.coordinator.detail(run)?.version).toBe(3);
    expect((await order(back)).ok).toBe(true);
  });

  test("makes a finished run paused, within the number of active runs", async () => {
    const { kit, run, volunteer, order } = await scene({ activeRuns: 1 });
    await trainToTheEnd(kit, [volunteer]);
    const other = await kit.createRun({ ...SPEC, name: "other" });
    expect(await order({ type: "roll-back", run, version: 2 })).toMatchObject({ ok: false, code: "bad-command" });
    await order({ type: "stop-run", run: other });
    expect((await order({ type: "roll-back", run, version: 2 })).ok).toBe(true);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "paused", version: 5, steps: 2 });
    await order({ type: "resume-run", run });
    await trainToTheEnd(kit, [volunteer]);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 7, steps: 4 });
  });
});

describe("resume-from", () => {
  test("is refused where nothing is left to do, where there is no such version, and beyond the number of active runs", async () => {
    const { kit, run, volunteer, order } = await scene({ activeRuns: 1 });
    expect(await order({ type: "resume-from", run, version: 0 })).toMatchObject({ ok: false, code: "bad-command" });
    await trainToTheEnd(kit, [volunteer]);
    expect(await order({ type: "resume-from", run, version: 4 })).toMatchObject({ ok: false, code: "bad-command" });
    expect(await order({ type: "resume-from", run, version: 5 })).toMatchObject({ ok: false, code: "unknown-version" });
    expect(await order({ type: "resume-from", run, version: 1, name: "‮" })).toMatchObject({ ok: false, code: "bad-name" });
    expect(await order({ type: "resume-from", run, version: 1, name: "Again" })).toEqual({ ok: true, value: { run: "again" } });
    expect(kit.coordinator.detail("again")).toMatchObject({ version: 1, steps: 1, spec: { ...SPEC, name: "Again" } });
  });
});

describe("fork", () => {
  const sgd = { kind: "sgd", learningRate: 0.05, momentum: 0.9, weightDecay: 0 } as const;

  test("goes on with a changed specification where the parent stood, without a state for another kind of optimiser", async () => {
    const { kit, run, volunteer, order, trainTo } = await scene();
    await trainTo(2);
    const spec: RunSpec = { ...SPEC, name: "Slower", training: { ...SPEC.training, versions: 6, samplesPerVersion: 4, optimizer: sgd } };
    expect(await order({ type: "fork", run, version: 2, spec })).toEqual({ ok: true, value: { run: "slower" } });
    const [created, opened] = await kit.records("slower");
    const parent = (await kit.records(run)).find(({ event }) => event.type === "version-published" && event.version === 2);
    expect(created?.event).toMatchObject({
      weights: parent?.event.type === "version-published" ? parent.event.weights : null,
      origin: { change: "fork", run, version: 2, seq: parent?.seq, head: parent?.hash, position: 16, steps: 2, optimizer: null },
    });
    expect(opened?.event).toMatchObject({ type: "round-opened", base: 2, start: 16, samples: 4 });
    await order({ type: "stop-run", run });
    await trainToTheEnd(kit, [volunteer]);
    expect(kit.coordinator.detail("slower")).toMatchObject({ phase: "finished", version: 6, steps: 6, origin: { run, version: 2 } });
  });

  test("begins a stream of its own with another seed, and keeps the optimiser's state where its kind is the same", async () => {
    const { kit, run, order, trainTo } = await scene();
    await trainTo(2);
    const [optimizer] = (await kit.records(run)).flatMap(({ event }) =>
      event.type === "version-published" && event.version === 2 ? [event.optimizer] : [],
    );
    const spec: RunSpec = { ...SPEC, name: "Reseeded", seed: 8, training: { ...SPEC.training, versions: 2 } };
    expect((await order({ type: "fork", run, version: 2, spec })).ok).toBe(true);
    const [created] = await kit.records("reseeded");
    expect(created?.event).toMatchObject({ origin: { version: 2, position: 0, steps: 0, optimizer } });
    expect(kit.coordinator.detail("reseeded")).toMatchObject({ version: 2, steps: 0, versions: 2 });
  });

  const wider: RunSpec["model"] = { kind: "mlp", inputs: 4, hidden: [5], classes: 2 };
  const deeper: RunSpec["model"] = { kind: "mlp", inputs: 4, hidden: [3, 3], classes: 2 };
  test.each([
    ["a wider model", { ...SPEC, model: wider }, new RegExp(`${parameterCount(wider)} parameters.*fc1\\.weight \\[5, 4\\] stands where`)],
    ["a deeper model", { ...SPEC, model: deeper }, /fc2\.weight \[3, 3\] stands where they have fc2\.weight \[2, 3\]/],
    ["as many versions as are done", { ...SPEC, training: { ...SPEC.training, versions: 2 } }, /training\.versions is 2.*for example 4/],
    ["no specification", { name: "x" }, /must be/],
  ])("is refused with %s", async (_, spec, message) => {
    const { kit, run, order, trainTo } = await scene();
    await trainTo(2);
    const reply = await order({ type: "fork", run, version: 2, spec });
    expect(reply).toMatchObject({ ok: false, code: "bad-spec", message: expect.stringMatching(message) });
    expect(kit.coordinator.runs()).toHaveLength(1);
  });
});

test("goes on from a version only when its record is on disk", async () => {
  // Everything that waits for nothing is done within a turn: no hash comes from another thread.
  const inner = await openFileStorage(new MemoryDisk(), "weft", { hash: async (bytes) => sha256(bytes), schedule: () => () => undefined });
  let open = (): void => undefined;
  let gate: Promise<void> = Promise.resolve();
  const wrote: string[] = [];
  const ledger: typeof inner.ledger = {
    runs: () => inner.ledger.runs(),
    read: (run, fromSeq) => inner.ledger.read(run, fromSeq),
    append: async (run, records, durability) => {
      await inner.ledger.append(run, records, durability);
      wrote.push(...records.map(({ event }) => event.type));
      if (records.some(({ event }) => event.type === "version-published")) {
        await gate;
        wrote.push("synced");
      }
    },
  };
  const kit = await TestCoordinator.start({ storage: { ...inner, ledger, close: () => inner.close() } });
  const run = await kit.createRun();
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  gate = new Promise((resolve) => {
    open = resolve;
  });
  kit.clock.settle = () => Promise.resolve();
  while (!wrote.includes("version-published")) {
    const reply = unwrap(await volunteer.requestLease(run, 2));
    if (reply.kind === "lease") await volunteer.contribute(reply.assignment);
    await kit.clock.drain();
  }
  const going = kit.coordinator.command({ type: "resume-from", run, version: 1 }, "ada");
  await kit.clock.drain();
  expect(wrote.filter((type) => type === "run-created")).toHaveLength(1);
  open();
  expect(await going).toMatchObject({ ok: true });
  expect(wrote.lastIndexOf("run-created")).toBeGreaterThan(wrote.indexOf("synced"));
});
