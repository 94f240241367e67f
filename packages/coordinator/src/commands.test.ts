// Commands and the making of runs: what fits is done and written, what does not is refused with a sentence.
import type { RunSpec } from "@weft/protocol";
import { ScriptedVolunteer, TestCoordinator, TINY_SPEC, trainToTheEnd, unwrap } from "@weft/testkit";
import { describe, expect, test } from "vitest";
import { runIdOf } from "./create-run.ts";

const GPT: RunSpec = {
  ...TINY_SPEC,
  name: "letters",
  dataset: "tiny-text",
  sampler: { kind: "random-window" },
  model: { kind: "gpt", vocabulary: 3, context: 8, layers: 1, heads: 1, width: 4, bias: true, gelu: "exact" },
};

const LSTM: RunSpec = { ...GPT, model: { kind: "lstm", vocabulary: 3, context: 8, embedding: 2, layers: 1, hidden: 4 } };

describe("making a run", () => {
  const refused: readonly (readonly [string, unknown, string, RegExp])[] = [
    ["nothing", undefined, "bad-spec", /JSON/],
    ["a text", "train something", "bad-spec", /must be/],
    [
      "a negative rate",
      { ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: -1 } },
      "bad-spec",
      /training\.versions must be at least 1; for example/,
    ],
    ["100 KB", { ...TINY_SPEC, description: "d".repeat(100_000) }, "too-large", /at most 65536 bytes/],
    ["a data set that is not here", { ...TINY_SPEC, dataset: "elsewhere" }, "unknown-dataset", /elsewhere/],
    [
      "a wrong number of inputs",
      { ...TINY_SPEC, model: { kind: "mlp", inputs: 5, hidden: [3], classes: 2 } },
      "bad-spec",
      /model\.inputs is 5.*for example 4/,
    ],
    [
      "a wrong number of classes",
      { ...TINY_SPEC, model: { kind: "mlp", inputs: 4, hidden: [3], classes: 3 } },
      "bad-spec",
      /model\.classes is 3.*for example 2/,
    ],
    ["a text model on images", { ...GPT, dataset: "tiny-images" }, "bad-spec", /holds images/],
    ["a recurrent model on images", { ...LSTM, dataset: "tiny-images" }, "bad-spec", /model\.kind is "lstm", but .* holds images/],
    ["an image model on text", { ...TINY_SPEC, dataset: "tiny-text" }, "bad-spec", /holds text/],
    ["a wrong vocabulary", { ...GPT, model: { ...GPT.model, vocabulary: 4 } }, "bad-spec", /model\.vocabulary is 4.*for example 3/],
    ["a context longer than the held-out text", { ...GPT, model: { ...GPT.model, context: 50 } }, "bad-spec", /context/],
    [
      "more parameters than fit a tab",
      { ...TINY_SPEC, model: { kind: "mlp", inputs: 4, hidden: [16_384, 16_384], classes: 2 } },
      "bad-spec",
      /parameters/,
    ],
  ];
  for (const [what, spec, code, message] of refused)
    test(`of ${what} is refused as ${code}, and nothing is left of it`, async () => {
      const kit = await TestCoordinator.start();
      const reply = await kit.coordinator.command({ type: "create-run", spec }, "admin");
      expect(reply).toMatchObject({ ok: false, code, message: expect.stringMatching(message) });
      expect(kit.coordinator.runs()).toEqual([]);
      expect(await kit.storage.ledger.runs()).toEqual([]);
    });

  test("gives it an id from its name, opens its first round, and evaluates version 0", async () => {
    const kit = await TestCoordinator.start();
    expect(await kit.createRun(GPT)).toBe("letters");
    expect(await kit.createRun(GPT)).toBe("letters-2");
    expect(kit.coordinator.detail("letters-2")).toMatchObject({ version: 0, phase: "running", round: { version: 1, phase: "collecting" } });
    expect(kit.coordinator.detail("letters")?.evaluations).toHaveLength(1);
    expect((await kit.coordinator.ledger("letters", 0, 2))?.map(({ event }) => event.type)).toEqual(["run-created", "round-opened"]);
    expect(await kit.coordinator.ledger("letters", 1, 0)).toEqual([]);
    expect(await kit.coordinator.ledger("nowhere", 0, 10)).toBeNull();
    expect(kit.coordinator.detail("nowhere")).toBeNull();
  });

  test("ids are plain, at most 40 characters, and never taken twice", () => {
    const taken = new Set<string>();
    const make = (name: string): string => {
      const id = runIdOf(name, (candidate) => taken.has(candidate));
      expect(id).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/);
      expect(taken.has(id)).toBe(false);
      taken.add(id);
      return id;
    };
    expect(make("Déjà vu, 2nd try!")).toBe("de-ja-vu-2nd-try");
    expect(make("字")).toBe("run");
    expect(make("字字")).toBe("run-2");
    for (let time = 0; time < 12; time += 1) make("-x".repeat(16));
  });
});

describe("commands", () => {
  test("pause, resume and stop do what they say, stand in the ledger with who gave them, and do not fit twice", async () => {
    const kit = await TestCoordinator.start();
    const run = await kit.createRun();
    const volunteer = new ScriptedVolunteer(1);
    await volunteer.join(kit.coordinator);
    const order = (type: string) => kit.coordinator.command({ type, run }, "ada");
    expect(await order("resume-run")).toMatchObject({ ok: false, code: "bad-command" });
    expect(await order("pause-run")).toEqual({ ok: true, value: { run } });
    expect(await order("pause-run")).toMatchObject({ ok: false, code: "bad-command", message: expect.stringContaining("paused") });
    expect(unwrap(await volunteer.requestLease())).toMatchObject({ kind: "none" });
    volunteer.work.length = 0;
    expect(await order("resume-run")).toEqual({ ok: true, value: { run } });
    expect(volunteer.work).toEqual([{ run, version: 0 }]);
    await volunteer.lease(null, 2);
    expect(await order("stop-run")).toEqual({ ok: true, value: { run } });
    expect(volunteer.revoked).toMatchObject([{ reason: "round-closed" }]);
    expect(await order("stop-run")).toMatchObject({ ok: false, code: "bad-command" });
    const by = (await kit.records(run)).flatMap(({ event }) => ("by" in event ? [`${event.type} ${event.by}`] : []));
    expect(by).toEqual(["run-paused ada", "run-resumed ada", "run-stopped ada"]);
  });

  test("malformed commands and unknown runs are refused", async () => {
    const kit = await TestCoordinator.start();
    for (const garbage of [null, 1, "stop", {}, { type: "drop-tables" }, { type: "stop-run" }, { type: "stop-run", run: "../x" }])
      expect(await kit.coordinator.command(garbage, "admin")).toMatchObject({ ok: false, code: "bad-message" });
    expect(await kit.coordinator.command({ type: "stop-run", run: "nowhere" }, "admin")).toMatchObject({ ok: false, code: "unknown-run" });
    expect(await kit.coordinator.command({ type: "block-volunteer", volunteer: "a".repeat(64) }, "admin")).toMatchObject({
      code: "bad-command",
    });
  });

  test("a blocked volunteer is cut off everywhere, also in runs that are made later and after a restart, until it is unblocked", async () => {
    const kit = await TestCoordinator.start();
    const run = await kit.createRun();
    const [eve, honest] = [new ScriptedVolunteer(666), new ScriptedVolunteer(1)];
    await eve.join(kit.coordinator);
    await eve.lease(null, 2);
    unwrap(await kit.coordinator.command({ type: "block-volunteer", volunteer: eve.key }, "admin"));
    await kit.clock.drain();
    expect(eve.closed).toBe(1);
    await kit.createRun({ ...TINY_SPEC, name: "later" });
    unwrap(await kit.coordinator.command({ type: "stop-run", run }, "admin"));
    kit.abandon();
    await kit.open();
    expect(await eve.connect(kit.coordinator).hello()).toMatchObject({ ok: false, code: "blocked" });
    expect(kit.coordinator.detail("later")?.volunteers).toMatchObject([{ volunteer: eve.key, blocked: true }]);
    unwrap(await kit.coordinator.command({ type: "unblock-volunteer", volunteer: eve.key }, "admin"));
    expect((await eve.hello()).ok).toBe(true);
    await honest.join(kit.coordinator);
    await trainToTheEnd(kit, [honest, eve]);
  });
});

test("a volunteer works on the run it chose while that runs, else on the oldest that has work, and counts where it works", async () => {
  const kit = await TestCoordinator.start();
  const [first, second] = [await kit.createRun(), await kit.createRun({ ...TINY_SPEC, name: "second" })];
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  expect((await volunteer.lease(second, 8)).run).toBe(second);
  unwrap(await kit.coordinator.command({ type: "stop-run", run: second }, "admin"));
  expect((await volunteer.lease(second, 8)).run).toBe(first);
  expect(kit.coordinator.runs().map(({ volunteersNow }) => volunteersNow)).toEqual([1, 0]);
  await trainToTheEnd(kit, [volunteer]);
  expect(unwrap(await volunteer.requestLease())).toMatchObject({ kind: "none", reason: "no run is under way" });
});
