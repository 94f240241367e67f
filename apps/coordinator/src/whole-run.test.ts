// A run over real sockets, threads and files: volunteers come, vanish and forge; the coordinator is restarted in the middle; the model learns.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { httpSource, replay, verify } from "@weft/audit";
import { checkpointSpec, readCheckpoint } from "@weft/checkpoints";
import type { LedgerRecord, RunDetail, RunSpec } from "@weft/protocol";
import { afterAll, describe, expect, it, vi } from "vitest";
import { digitsRun } from "./demonstration.ts";
import { startTestCoordinator, type TestCoordinator } from "./test/harness.ts";
import { ScriptedVolunteer } from "./test/scripted-volunteer.ts";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let coordinator: TestCoordinator;
const volunteers: ScriptedVolunteer[] = [];
afterAll(async () => {
  for (const volunteer of volunteers) volunteer.vanish();
  await coordinator.end();
});

const VERSIONS = 60;
const short = (): RunSpec => {
  const spec = digitsRun();
  return {
    ...spec,
    training: { ...spec.training, versions: VERSIONS, optimizer: { ...spec.training.optimizer, learningRate: 0.02 } as never },
    checkpoints: { everyVersions: 20 },
  };
};
const detail = (): RunDetail => {
  const found = coordinator.started.coordinator.detail("digits");
  if (found === null) throw new Error("no run");
  return found;
};
async function arrive(headers: Record<string, string> = {}): Promise<ScriptedVolunteer> {
  const volunteer = new ScriptedVolunteer(coordinator.origin);
  volunteers.push(volunteer);
  expect(await volunteer.connect(headers)).toMatchObject({ ok: true });
  return volunteer;
}
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 20));
};

describe("a run over real sockets", () => {
  it("learns across a volunteer that vanishes and a restart in the middle, and its ledger and checkpoint stand at the end", async () => {
    coordinator = await startTestCoordinator();
    expect((await coordinator.started.coordinator.createRun(short(), "test")).ok).toBe(true);
    const [first, second] = [await arrive(), await arrive({ origin: coordinator.origin })];
    expect(coordinator.started.coordinator.volunteersNow()).toBe(2);
    const lost = await first.requestLease();
    expect(lost.kind).toBe("lease");
    first.vanish();
    await second.work(() => detail().version >= 20);
    expect(detail().versionPoints.length).toBeGreaterThan(0);
    const { folder } = coordinator;
    const before = detail();
    await coordinator.stop();

    coordinator = await startTestCoordinator({ dataFolder: folder });
    expect(coordinator.started.recovered).toEqual([]);
    expect(detail().version).toBeGreaterThanOrEqual(before.version);
    expect(detail().phase).toBe("running");
    const third = await arrive();
    await third.work(() => detail().phase === "finished");
    await until(() => detail().newestCheckpoint?.version === VERSIONS && detail().evaluations.at(-1)?.version === VERSIONS);
    expect(detail().accuracy).toBeGreaterThan(0.9);

    const archive = await coordinator.raw({ path: "/api/runs/digits/checkpoints/latest" });
    expect(archive.headers["content-disposition"]).toBe('attachment; filename="digits-v000060.zip"');
    const checkpoint = readCheckpoint(new Uint8Array(archive.bytes));
    if (!checkpoint.ok) throw new Error(checkpoint.message);
    expect(checkpointSpec(checkpoint.value)).toEqual({ ok: true, value: short() });
    const part = await coordinator.raw({ path: "/api/runs/digits/checkpoints/60", headers: { range: "bytes=0-3" } });
    expect([part.status, part.text]).toEqual([206, "PK\u0003\u0004"]);

    const records: LedgerRecord[] = [];
    for (;;) {
      const { text } = await coordinator.raw({ path: `/api/runs/digits/ledger?from=${records.length}&limit=500` });
      if (text === "") break;
      records.push(
        ...text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as LedgerRecord),
      );
    }
    expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => index));
    const admitted = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header] : []));
    expect(admitted.reduce((sum, { samples }) => sum + samples, 0)).toBe(VERSIONS * 256);

    // An auditor with nothing but HTTP: everything is proved under the coordinator's key, and the contributions make the published weights,
    // version by version.
    const source = httpSource("digits", {
      get: (path) => fetch(coordinator.origin + path),
      sleep: (ms) => new Promise((wake) => setTimeout(wake, ms)),
    });
    const info = await coordinator.raw({ path: "/api/info" });
    const verified = await verify(source, { key: info.json.value.coordinator });
    expect(verified.findings).toEqual([]);
    expect(verified.spans).toEqual([{ from: 1, to: VERSIONS, provable: "recompute" }]);
    const published: string[] = [];
    const replayed = await replay(source, { onVersion: (version) => published.push(version.published) });
    expect(replayed).toMatchObject({ ok: true, same: VERSIONS + 1, different: null });
    expect(published.at(-1)).toBe(detail().weights.sha256);
    // Nothing of the finished uploads is left in the spool.
    expect(await readdir(join(folder, "spool"))).toEqual([]);
  });

  it("answers strange messages with refusals and keeps the connection", async () => {
    const { socket } = await arrive();
    const deep = { a: { b: { c: Buffer.from("x") } } };
    for (const [event, ...messages] of [
      ["lease"],
      ["lease", null],
      ["lease", "text"],
      ["lease", { run: null, samplesPerSecond: 1 }, "more"],
      ["lease", deep],
      ["contribution", []],
      ["chunk", "no bytes"],
      ["chunk", Buffer.alloc(3)],
      ["chunk", Buffer.alloc(1000, 0xff)],
      ["hello", {}],
      ["nothing", {}],
      ["__proto__", {}],
    ] as const) {
      const reply = await socket.timeout(5_000).emitWithAck(event, ...messages);
      expect([event, reply.ok]).toEqual([event, false]);
      expect(reply.code).not.toBe("internal");
    }
    // Without an acknowledgement nothing is sent back, and nothing breaks.
    socket.emit("lease", 7);
    socket.emit("chunk", Buffer.alloc(70).subarray(3));
    expect((await socket.timeout(5_000).emitWithAck("lease", { run: null, samplesPerSecond: null })).ok).toBe(true);
    expect(socket.connected).toBe(true);
  });

  it("refuses handshakes of foreign pages, and hellos that name a foreign origin", async () => {
    const foreign = new ScriptedVolunteer(coordinator.origin);
    await expect(foreign.connect({ origin: "https://evil.example" })).rejects.toThrow();
    foreign.vanish();
  });

  it("closes the connection on a message beyond the limit, and goes on", async () => {
    const volunteer = await arrive();
    const gone = new Promise((resolve) => volunteer.socket.once("disconnect", resolve));
    volunteer.socket.emit("chunk", Buffer.alloc(2 * 1024 * 1024));
    expect(await gone).toBeTruthy();
    expect((await coordinator.raw({ path: "/api/health" })).status).toBe(200);
  });

  it("exports how long the event loop was held up", async () => {
    const { text } = await coordinator.raw({ path: "/metrics" });
    for (const stat of ["p99", "max"]) {
      const value = new RegExp(`^weft_event_loop_delay_seconds\\{stat="${stat}"\\} (\\S+)$`, "m").exec(text)?.[1];
      expect(Number(value)).toBeGreaterThanOrEqual(0);
      expect(Number(value)).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  });
});
