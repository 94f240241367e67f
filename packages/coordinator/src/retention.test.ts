import type { ContributionHeader, LedgerEvent, RetentionSpec, RunSpec } from "@weft/protocol";
import { memoryStorage } from "@weft/storage";
import { failingStorage, ScriptedVolunteer, TestCoordinator, TINY_SPEC, trainToTheEnd } from "@weft/testkit";
import { describe, expect, test } from "vitest";
import { Retention } from "./retention.ts";

const name = (n: number): string => n.toString(16).padStart(64, "0");

/** Feeds events as a ledger would; only what retention reads of them is there. */
function scene(contributions: RetentionSpec["contributions"]) {
  const dropped: string[] = [];
  let fails = false;
  let gate: Promise<void> = Promise.resolve();
  const retention = new Retention(async (names) => {
    await gate;
    if (fails) throw new Error("the disk says no");
    dropped.push(...names);
  });
  let seq = 0;
  const feed = (event: unknown): void => {
    retention.onRecord({ seq, atMs: 0, event: event as LedgerEvent, hash: name(seq), signature: null });
    seq += 1;
  };
  feed({ type: "run-created", spec: { ...TINY_SPEC, retention: { contributions } } satisfies RunSpec });
  return {
    retention,
    dropped,
    admit: (n: number): void => feed({ type: "contribution-admitted", header: { sha256: name(n) } as ContributionHeader }),
    close: (...leases: number[]): void => feed({ type: "round-closing", leases: leases.map(String) }),
    publish: (version: number, counted: readonly number[] = []): void =>
      feed({ type: "version-published", version, contributions: counted.map((n) => ({ sha256: name(n) })) }),
    rollBack: (version: number): void => feed({ type: "run-rolled-back", version }),
    fail: (on: boolean): void => {
      fails = on;
    },
    hold: (until: Promise<void>): void => {
      gate = until;
    },
  };
}

describe("retention", () => {
  test("lets the contributions of versions go that are older than it keeps, once the newer version is on disk", async () => {
    const { retention, dropped, admit, publish } = scene({ versions: 2 });
    for (const version of [1, 2, 3, 4]) {
      admit(10 * version);
      admit(10 * version + 1);
      publish(version);
    }
    // Version 4 is folded, but not on disk.
    await retention.sweep(3);
    expect(dropped).toEqual([name(10), name(11)]);
    await retention.sweep(4);
    expect(dropped.slice(2)).toEqual([name(20), name(21)]);
    await retention.sweep(4);
    expect(dropped).toHaveLength(4);
  });

  test("keeps what a round that closed did not take until the version that counts it is old enough", async () => {
    const { retention, dropped, admit, close, publish } = scene({ versions: 1 });
    admit(1);
    close(1);
    // Two answers with the same bytes: one of them is counted, the other waits.
    admit(1);
    admit(2);
    publish(1, [1]);
    await retention.sweep(1);
    expect(dropped).toEqual([]);
    close(1, 2);
    publish(2, [1, 2]);
    await retention.sweep(2);
    expect(dropped).toEqual([]);
    publish(3);
    await retention.sweep(3);
    expect(dropped).toEqual([name(1), name(2)]);
  });

  test("keeps bytes that a younger version, the open round or an upload has too", async () => {
    const { retention, dropped, admit, publish } = scene("none");
    admit(1);
    admit(1);
    admit(2);
    admit(3);
    publish(1);
    admit(1);
    await retention.hold(name(2));
    await retention.sweep(1);
    expect(dropped).toEqual([name(3)]);
    retention.release(name(2));
    publish(2);
    await retention.sweep(2);
    expect(dropped.slice(1).toSorted()).toEqual([name(1), name(2)]);
  });

  test("lets go what came and was not admitted, and what a roll-back gave up when its version is old enough", async () => {
    const { retention, dropped, admit, publish, rollBack } = scene({ versions: 1 });
    await retention.hold(name(7));
    retention.release(name(7));
    admit(1);
    rollBack(1);
    await retention.sweep(1);
    expect(dropped).toEqual([name(7)]);
    admit(2);
    publish(2);
    await retention.sweep(2);
    expect(dropped).toEqual([name(7), name(1)]);
  });

  test("keeps everything where the specification says so, and 100 versions where it says nothing", async () => {
    const all = scene("all");
    const { retention, dropped, admit, publish } = scene({ versions: 100 });
    for (let version = 1; version <= 102; version += 1) {
      for (const { admit: take, publish: close } of [all, { admit, publish }]) {
        take(version);
        close(version);
      }
      await all.retention.sweep(version);
      await retention.sweep(version);
    }
    expect(all.dropped).toEqual([]);
    expect(dropped).toEqual([name(1), name(2)]);
  });

  test("makes an upload wait whose bytes are on their way out, so that they are stored after", async () => {
    const { retention, dropped, admit, publish, hold } = scene("none");
    let open = (): void => undefined;
    hold(
      new Promise((resolve) => {
        open = resolve;
      }),
    );
    admit(1);
    publish(1);
    const swept = retention.sweep(1);
    let held = false;
    const waiting = retention.hold(name(1)).then(() => {
      held = true;
    });
    await retention.hold(name(2));
    expect(held).toBe(false);
    open();
    await Promise.all([swept, waiting]);
    expect(held).toBe(true);
    expect(dropped).toEqual([name(1)]);
  });

  test("asks again for what storage refused to drop", async () => {
    const { retention, dropped, admit, publish, fail } = scene("none");
    admit(1);
    publish(1);
    fail(true);
    await retention.sweep(1);
    fail(false);
    admit(2);
    publish(2);
    await retention.sweep(2);
    expect(dropped.toSorted()).toEqual([name(1), name(2)]);
  });
});

describe("a coordinator", () => {
  const contributionsOf = async (kit: TestCoordinator, run: string) => {
    const versions = (await kit.records(run)).flatMap(({ event }) => (event.type === "version-published" ? [event] : []));
    return Promise.all(
      versions.map(async ({ version, contributions }) => {
        const found = await Promise.all(contributions.map(({ sha256 }) => kit.storage.contributions.get(run, sha256)));
        return { version, kept: found.every((bytes) => bytes !== null), gone: found.every((bytes) => bytes === null) };
      }),
    );
  };

  test("keeps the newest versions' contributions alone, also when it starts again over a storage that forgot nothing", async () => {
    const storage = failingStorage(memoryStorage());
    const kit = await TestCoordinator.start({ storage, limits: { messagesPerSecond: 1e6, messageBurst: 1e6 } });
    const retention: RetentionSpec = { contributions: { versions: 2 } };
    const run = await kit.createRun({ ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: 6 }, retention });
    const volunteer = new ScriptedVolunteer(1);
    await volunteer.join(kit.coordinator);
    await trainToTheEnd(kit, [volunteer]);
    const wanted = [1, 2, 3, 4, 5, 6].map((version) => ({ version, kept: version > 4, gone: version <= 4 }));
    expect(await contributionsOf(kit, run)).toEqual(wanted);
    // Put back, as a storage does that lost the removal with its power.
    const [first] = (await kit.records(run)).flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header.sha256] : []));
    await storage.contributions.put(run, first as string, new Uint8Array(92));
    kit.abandon();
    await kit.open();
    expect(await contributionsOf(kit, run)).toEqual(wanted);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 6 });
  });

  test("lets nothing go for a version that was never made: the run was stopped while its round was closing", async () => {
    let open = (): void => undefined;
    let waits: Promise<void> = Promise.resolve();
    const kit = await TestCoordinator.start({
      compute: (inner) => ({
        initialWeights: (model, seed) => inner.initialWeights(model, seed),
        takeIn: (upload) => inner.takeIn(upload),
        evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
        checkpoint: (input) => inner.checkpoint(input),
        closeRound: async (...given) => {
          await waits;
          return inner.closeRound(...given);
        },
      }),
    });
    const run = await kit.createRun({ ...TINY_SPEC, retention: { contributions: { versions: 1 } } });
    const volunteer = new ScriptedVolunteer(1);
    await volunteer.join(kit.coordinator);
    const contribute = async (): Promise<unknown> => volunteer.contribute(await volunteer.lease(run));
    while (kit.coordinator.detail(run)?.version === 0) {
      await contribute();
      await kit.pass(500);
    }
    waits = new Promise((resolve) => {
      open = resolve;
    });
    while (kit.coordinator.detail(run)?.round?.phase !== "closing") await contribute();
    expect((await kit.coordinator.command({ type: "stop-run", run }, "ada")).ok).toBe(true);
    open();
    await kit.coordinator.idle();
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "stopped", version: 1 });
    expect(await contributionsOf(kit, run)).toEqual([{ version: 1, kept: true, gone: false }]);
  });

  test("rolls back without any contribution", async () => {
    const kit = await TestCoordinator.start();
    const run = await kit.createRun({ ...TINY_SPEC, retention: { contributions: "none" } });
    const volunteer = new ScriptedVolunteer(1);
    await volunteer.join(kit.coordinator);
    await trainToTheEnd(kit, [volunteer]);
    expect((await kit.coordinator.command({ type: "roll-back", run, version: 1 }, "ada")).ok).toBe(true);
    expect((await kit.coordinator.command({ type: "resume-run", run }, "ada")).ok).toBe(true);
    await trainToTheEnd(kit, [volunteer]);
    expect(kit.coordinator.detail(run)).toMatchObject({ phase: "finished", version: 6, steps: 3 });
    expect((await contributionsOf(kit, run)).every(({ gone }) => gone)).toBe(true);
  });

  test("drops an answer that was stored and then not admitted, since another was first", async () => {
    let slow = "";
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const kit = await TestCoordinator.start({
      compute: (inner) => ({
        initialWeights: (model, seed) => inner.initialWeights(model, seed),
        closeRound: (...given) => inner.closeRound(...given),
        evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
        checkpoint: (input) => inner.checkpoint(input),
        takeIn: async (upload) => {
          const found = await inner.takeIn(upload);
          if (upload.sha256 === slow) await gate;
          return found;
        },
      }),
    });
    const run = await kit.createRun();
    const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2, "192.0.2.8")];
    await anna.join(kit.coordinator);
    await anna.contribute(await anna.lease(run));
    await ben.join(kit.coordinator);
    const late = ben.contribution(await ben.lease(run), {}, new Float32Array(23).fill(0.5));
    slow = late.header.sha256;
    const uploading = ben.upload(late);
    // Time passes although an upload is under way.
    kit.clock.settle = () => Promise.resolve();
    await kit.clock.drain();
    // Ben's lease is overdue and given to Anna, who answers it while what Ben sent is being looked at.
    await kit.coordinator.tick();
    for (let turn = 0; kit.coordinator.detail(run)?.version === 0 && turn < 200; turn += 1) {
      const reply = await anna.requestLease(run);
      if (reply.ok && reply.value.kind === "lease") await anna.contribute(reply.value.assignment);
      await kit.clock.advance(500);
      await kit.coordinator.tick();
    }
    expect(kit.coordinator.detail(run)?.version).toBe(1);
    expect(await kit.storage.contributions.get(run, slow)).not.toBeNull();
    open();
    expect(await uploading).toMatchObject({ ok: false, code: "stale" });
    await trainToTheEnd(kit, [anna]);
    expect(await kit.storage.contributions.get(run, slow)).toBeNull();
  });
});
