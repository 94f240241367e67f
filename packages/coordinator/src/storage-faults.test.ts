// A disk that fails: nothing is acknowledged that is not stored, the sender hears why, and the run goes on when the disk does.
import type { Compute } from "@weft/coordinator";
import { sha256 } from "@weft/ledger";
import { MemoryDisk, memoryStorage, openFileStorage } from "@weft/storage";
import { failingStorage, ScriptedVolunteer, TestCoordinator, TINY_SPEC, trainToTheEnd, unwrap } from "@weft/testkit";
import { expect, test } from "vitest";

async function scene(compute?: (inner: Compute) => Compute) {
  const storage = failingStorage(memoryStorage());
  const kit = await TestCoordinator.start({ storage, ...(compute === undefined ? {} : { compute }) });
  const run = await kit.createRun();
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  return { storage, kit, run, volunteer };
}

test("a contribution whose record cannot be stored is refused, not lost: sent again later it is admitted, once", async () => {
  const { storage, kit, run, volunteer } = await scene();
  const contribution = volunteer.contribution(await volunteer.lease(null, 2));
  storage.fail("ledger");
  const refused = await volunteer.upload(contribution);
  expect(refused).toMatchObject({ ok: false, code: "disk-full" });
  expect((await kit.records(run)).some(({ event }) => event.type === "contribution-admitted")).toBe(false);
  expect(await volunteer.requestLease()).toMatchObject({ ok: false, code: "disk-full" });
  expect(kit.coordinator.detail(run)).toMatchObject({
    round: { reason: expect.stringContaining("storage failed") },
    trouble: { kind: "disk-full", message: expect.any(String) },
  });
  expect(kit.coordinator.runs()).toMatchObject([{ trouble: { kind: "disk-full" } }]);

  storage.fail(null);
  await kit.pass(2_000);
  expect(unwrap(await volunteer.upload(contribution))).toEqual({ kind: "admitted", version: 1 });
  await trainToTheEnd(kit, [volunteer]);
  const records = await kit.records(run);
  expect(
    records.filter(({ event }) => event.type === "contribution-admitted" && event.header.sha256 === contribution.header.sha256),
  ).toHaveLength(1);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", trouble: null });
});

test("bytes that cannot be stored are refused before the run hears of them", async () => {
  const { storage, kit, run, volunteer } = await scene();
  const contribution = volunteer.contribution(await volunteer.lease(null, 2));
  storage.fail("contributions");
  expect(await volunteer.upload(contribution)).toMatchObject({ ok: false, code: "disk-full" });
  storage.fail(null);
  expect(unwrap(await volunteer.upload(contribution)).kind).toBe("admitted");
  await trainToTheEnd(kit, [volunteer]);
  expect(kit.coordinator.detail(run)?.phase).toBe("finished");
});

test("a version whose blobs cannot be stored is closed later, with the same weights", async () => {
  const { kit: reference, run: referenceRun, volunteer: referenceVolunteer } = await scene();
  await trainToTheEnd(reference, [referenceVolunteer]);

  const { storage, kit, run, volunteer } = await scene();
  while (kit.coordinator.detail(run)?.version === 0) {
    const reply = await volunteer.requestLease();
    storage.fail("blobs");
    if (reply.ok && reply.value.kind === "lease") unwrap(await volunteer.contribute(reply.value.assignment));
    else {
      expect(kit.coordinator.detail(run)?.round.phase).toBe("closing");
      await kit.pass(3_000);
      expect(kit.coordinator.detail(run)).toMatchObject({ version: 0, trouble: { kind: "closing" } });
      storage.fail(null);
      await kit.pass(5_000);
    }
  }
  storage.fail(null);
  expect(kit.coordinator.counters()["work.failed"]).toBeGreaterThan(0);
  await trainToTheEnd(kit, [volunteer]);
  expect(kit.coordinator.detail(run)?.weights).toEqual(reference.coordinator.detail(referenceRun)?.weights);
});

test("a run that cannot be stored is refused and does not exist; its name is free of confusion afterwards", async () => {
  const storage = failingStorage(memoryStorage());
  const kit = await TestCoordinator.start({ storage });
  storage.fail("ledger");
  expect(await kit.coordinator.createRun(TINY_SPEC, "test")).toMatchObject({ ok: false, code: "disk-full" });
  expect(kit.coordinator.runs()).toEqual([]);
  storage.fail(null);
  expect(await kit.createRun()).toBe("tiny-2");
});

test("work that the computer fails at is tried again until it is done, also across a restart", async () => {
  let failures = 0;
  const { kit, run, volunteer } = await scene((inner) => ({
    initialWeights: (model, seed) => inner.initialWeights(model, seed),
    takeIn: (upload) => inner.takeIn(upload),
    closeRound: (id, spec, parameters, round) => {
      failures += 1;
      return failures <= 3 ? Promise.reject(new Error("the worker died")) : inner.closeRound(id, spec, parameters, round);
    },
    evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
    checkpoint: (input) => inner.checkpoint(input),
  }));
  for (let lease = await volunteer.requestLease(); lease.ok && lease.value.kind === "lease"; lease = await volunteer.requestLease())
    await volunteer.contribute(lease.value.assignment);
  await kit.pass(1_000);
  expect(kit.coordinator.detail(run)?.version).toBe(0);
  kit.abandon();
  await kit.open();
  await volunteer.join(kit.coordinator);
  await trainToTheEnd(kit, [volunteer]);
  expect(failures).toBeGreaterThan(3);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 3 });
});

test("a round that cannot be closed says so where the run is shown, until it is closed", async () => {
  let damaged = true;
  const { kit, run, volunteer } = await scene((inner) => ({
    initialWeights: (model, seed) => inner.initialWeights(model, seed),
    takeIn: (upload) => inner.takeIn(upload),
    closeRound: (id, spec, parameters, round) =>
      damaged ? Promise.reject(new Error("the weights ab12 are missing")) : inner.closeRound(id, spec, parameters, round),
    evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
    checkpoint: (input) => inner.checkpoint(input),
  }));
  for (let lease = await volunteer.requestLease(); lease.ok && lease.value.kind === "lease"; lease = await volunteer.requestLease())
    await volunteer.contribute(lease.value.assignment);
  await kit.pass(10_000);
  expect(kit.coordinator.detail(run)?.round.reason).toBe("Version 1 could not be made: the weights ab12 are missing. It is tried again.");
  damaged = false;
  await kit.pass(60_000);
  await trainToTheEnd(kit, [volunteer]);
  expect(kit.coordinator.detail(run)?.round.reason).toBe("The run is finished at version 3.");
});

test("a round that can never be closed pauses the run and says why; resumed, it is tried once more", async () => {
  let broken = true;
  let tries = 0;
  const { kit, run, volunteer } = await scene((inner) => ({
    initialWeights: (model, seed) => inner.initialWeights(model, seed),
    takeIn: (upload) => inner.takeIn(upload),
    closeRound: (id, spec, parameters, round) => {
      tries += 1;
      // As it comes from another thread: a name and a message.
      const refused = Object.assign(new Error("the next weights are not finite"), { name: "RoundDamaged" });
      return broken ? Promise.reject(refused) : inner.closeRound(id, spec, parameters, round);
    },
    evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
    checkpoint: (input) => inner.checkpoint(input),
  }));
  for (let lease = await volunteer.requestLease(); lease.ok && lease.value.kind === "lease"; lease = await volunteer.requestLease())
    await volunteer.contribute(lease.value.assignment);
  await kit.pass(180_000);
  expect(tries).toBe(1);
  expect(kit.coordinator.detail(run)).toMatchObject({ phase: "paused", version: 0 });
  expect(kit.coordinator.detail(run)?.round.reason).toContain("Version 1 cannot be made: the next weights are not finite");
  expect((await kit.records(run)).at(-1)?.event).toMatchObject({ type: "run-paused", by: "the coordinator" });
  unwrap(await kit.coordinator.command({ type: "resume-run", run }, "admin"));
  await kit.pass(60_000);
  expect(tries).toBe(2);
  expect(kit.coordinator.detail(run)?.phase).toBe("paused");
  // After a restart the paused run is asked for its round once, and tells again why it stands.
  kit.abandon();
  await kit.open();
  await kit.pass(60_000);
  expect(tries).toBe(3);
  expect(kit.coordinator.detail(run)?.round.reason).toContain("the next weights are not finite");
  broken = false;
  unwrap(await kit.coordinator.command({ type: "resume-run", run }, "admin"));
  await volunteer.join(kit.coordinator);
  await trainToTheEnd(kit, [volunteer]);
  expect(kit.coordinator.detail(run)?.phase).toBe("finished");
});

test("a run's log says what happened and what is waited for, once, not each second of a countdown", async () => {
  const { kit, volunteer } = await scene();
  await volunteer.lease(null, 1);
  const before = kit.lines.length;
  await kit.pass(5_000);
  expect(kit.lines.slice(before).filter((line) => line.includes("to the next deadline"))).toHaveLength(1);
});

test("a ledger with a gap, or without its manifest, stops the opening with one sentence", async () => {
  const { kit, run } = await scene();
  const records = await kit.records(run);
  const storage = memoryStorage();
  const gap = records.slice(1).map((record, seq) => ({ ...record, seq }));
  await storage.ledger.append(run, gap, "durable");
  await expect(TestCoordinator.start({ storage })).rejects.toMatchObject({ code: "damaged", message: expect.stringContaining(run) });
  const bare = memoryStorage();
  await bare.ledger.append(run, records, "durable");
  await expect(TestCoordinator.start({ storage: bare, datasets: [] })).rejects.toMatchObject({
    code: "damaged",
    message: expect.stringContaining("manifest"),
  });
});

test("what storage refused and kept in its queue is not acknowledged before it is on disk, however often it is sent again", async () => {
  const disk = new MemoryDisk();
  const storage = await openFileStorage(disk, "weft", { hash: async (bytes) => sha256(bytes), schedule: () => () => undefined });
  const kit = await TestCoordinator.start({ storage });
  await kit.createRun();
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  const contribution = volunteer.contribution(await volunteer.lease(null, 2));
  disk.capacityBytes = 0;
  expect(await volunteer.upload(contribution)).toMatchObject({ ok: false, code: "disk-full" });
  // Tried again and again, the run stays as it is while the disk does.
  for (let time = 0; time < 5; time += 1) {
    await kit.pass(10_000);
    expect(await volunteer.upload(contribution)).toMatchObject({ ok: false, code: "disk-full" });
  }
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await kit.pass(61_000);
  expect(unwrap(await volunteer.upload(contribution))).toEqual({ kind: "admitted", version: 1 });
  kit.abandon();
  disk.powerOn("lost");
  const again = await openFileStorage(disk, "weft");
  const admitted = [];
  for await (const { event } of again.ledger.read("tiny")) if (event.type === "contribution-admitted") admitted.push(event.header.sha256);
  expect(admitted).toEqual([contribution.header.sha256]);
});

test("while a ledger is read again after a fault, everybody is answered as during the fault, and pages show the last whole state", async () => {
  const inner = failingStorage(memoryStorage());
  let gate: Promise<void> | null = null;
  const ledger: typeof inner.ledger = {
    ...inner.ledger,
    async *read(run, fromSeq) {
      for await (const record of inner.ledger.read(run, fromSeq)) {
        // Nothing is read at first, and then no more than the beginning.
        if (record.seq <= 1) await gate;
        yield record;
      }
    },
  };
  const kit = await TestCoordinator.start({ storage: { ...inner, ledger } });
  const run = await kit.createRun();
  const [volunteer, late] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2, "192.0.2.8")];
  await volunteer.join(kit.coordinator);
  while (kit.coordinator.detail(run)?.version === 0) {
    await volunteer.contribute(await volunteer.lease(null, 2));
    await kit.pass(500);
  }
  const contribution = volunteer.contribution(await volunteer.lease(null, 2));
  inner.fail("ledger");
  expect(await volunteer.upload(contribution)).toMatchObject({ ok: false, code: "disk-full" });
  inner.fail(null);
  for (let pieces = 0; pieces < 2; pieces += 1) {
    let open = (): void => undefined;
    const before = gate;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    if (before === null) {
      await kit.clock.advance(2_000);
      void kit.coordinator.tick();
    }
    await kit.clock.advance(1);
    expect(kit.coordinator.inside().runs).toMatchObject([{ run, state: null }]);
    expect(await volunteer.requestLease()).toMatchObject({ ok: false, code: "disk-full" });
    expect(await volunteer.upload(contribution)).toMatchObject({ ok: false, code: "disk-full" });
    expect(await kit.coordinator.command({ type: "pause-run", run }, "admin")).toMatchObject({ ok: false, code: "disk-full" });
    if (before === null) await late.join(kit.coordinator);
    expect(kit.coordinator.runs()).toMatchObject([{ run, version: 1, phase: "running", trouble: { kind: "disk-full" } }]);
    expect(kit.coordinator.detail(run)).toMatchObject({ version: 1 });
    open();
  }
  gate = null;
  await kit.pass(2_000);
  expect(unwrap(await volunteer.upload(contribution))).toEqual({ kind: "admitted", version: 2 });
  expect(kit.coordinator.counters()["internal-errors"]).toBeUndefined();
});

test("a run whose data set or manifest cannot be stored is refused with the storage's code, new or forked", async () => {
  const { storage, kit, run } = await scene();
  storage.fail("blobs");
  expect(await kit.coordinator.createRun(TINY_SPEC, "test")).toMatchObject({ ok: false, code: "disk-full" });
  const forked = await kit.coordinator.command({ type: "fork", run, version: 0, spec: TINY_SPEC }, "ada");
  expect(forked).toMatchObject({ ok: false, code: "disk-full" });
  storage.fail(null);
  expect(await kit.coordinator.command({ type: "fork", run, version: 0, spec: TINY_SPEC }, "ada")).toMatchObject({ ok: true });
});
