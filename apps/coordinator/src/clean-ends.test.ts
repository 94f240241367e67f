// Ends as they come to the real process: it is told to stop while an update is arriving and a lease is out; a volunteer disappears without a word.
import { rmSync } from "node:fs";
import {
  type Assignment,
  CHUNK_BYTES,
  encodeFrame,
  type LeaseReply,
  type LedgerRecord,
  PING_TIMEOUT_MS,
  type Result,
  type RunSpec,
} from "@weft/protocol";
import { openFileStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { digitsRun } from "./demonstration.ts";
import { temporaryFolder } from "./test/harness.ts";
import { type Bundle, bundleKillable, freePort, startKillable } from "./test/killable.ts";
import { ScriptedVolunteer } from "./test/scripted-volunteer.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let bundle: Bundle;
beforeAll(async () => {
  bundle = await bundleKillable();
});
afterAll(() => bundle.remove());
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

async function serving(run: RunSpec) {
  const folder = await temporaryFolder();
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  const killable = startKillable(bundle, { folder, port: await freePort(), run });
  cleanUp.push(async () => {
    killable.child.kill("SIGKILL");
    await killable.ended;
  });
  const origin = `http://localhost:${(await killable.serving)?.port}`;
  const arrive = async (): Promise<ScriptedVolunteer> => {
    const volunteer = new ScriptedVolunteer(origin);
    cleanUp.push(() => volunteer.vanish());
    expect(await volunteer.connect()).toMatchObject({ ok: true });
    return volunteer;
  };
  return { folder, killable, arrive };
}
/** One micro-batch: what a volunteer is given whose speed is not known. */
const askOf = async (volunteer: ScriptedVolunteer): Promise<LeaseReply> => {
  const reply: Result<LeaseReply> = await volunteer.socket.emitWithAck("lease", { run: null, samplesPerSecond: null });
  if (!reply.ok) throw new Error(reply.message);
  return reply.value;
};
const leaseOf = async (volunteer: ScriptedVolunteer): Promise<Assignment> => {
  const reply = await askOf(volunteer);
  if (reply.kind !== "lease") throw new Error(reply.reason);
  return reply.assignment;
};

test("told to stop, it offers nothing more, takes the rest of an upload that is arriving, stores everything, and ends within 10 s", async () => {
  const digits = digitsRun();
  const { folder, killable, arrive } = await serving({
    ...digits,
    model: { kind: "mlp", inputs: 64, hidden: [2_048], classes: 10 },
  });
  const [sender, worker] = [await arrive(), await arrive()];
  const sent = await leaseOf(sender);
  const held = await leaseOf(worker);
  const { header, signature, bytes } = await sender.compute(sent);
  const { run, lease, attempt } = sent;
  const chunk = (index: number) =>
    sender.socket.emitWithAck(
      "chunk",
      encodeFrame({ run, lease, attempt, index }, bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)),
    );
  expect(await sender.socket.emitWithAck("contribution", { header, signature })).toMatchObject({ ok: true });
  expect(await chunk(0)).toMatchObject({ ok: true });
  const toldMs = performance.now();
  killable.child.kill("SIGTERM");
  expect(await chunk(1)).toMatchObject({ ok: true });
  await expect.poll(() => worker.socket.emitWithAck("lease", { run: null, samplesPerSecond: null })).toMatchObject({ code: "unavailable" });
  expect(await chunk(2)).toMatchObject({ ok: true, value: { kind: "admitted" } });
  expect(await killable.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - toldMs).toBeLessThan(10_000);

  const storage = await openFileStorage(nodeDisk(), folder);
  cleanUp.push(() => storage.close());
  expect(storage.recovered).toEqual([]);
  const records: LedgerRecord[] = [];
  for await (const record of storage.ledger.read(run)) records.push(record);
  const admitted = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header.sha256] : []));
  expect(admitted).toEqual([header.sha256]);
  // The lease that is out is not ended by a stop: its holder may come back to the next process with the answer.
  expect(records.some(({ event }) => event.type === "assignment-ended" && event.lease === held.lease)).toBe(false);
});

test("a volunteer that disappears behind an open connection is noticed within 15 s, and its lease is given again", async () => {
  // One lease a version, and none given side by side for a long time: whoever gets it, gets it because its holder is gone.
  const digits = digitsRun();
  const { arrive } = await serving({
    ...digits,
    training: { ...digits.training, samplesPerVersion: 32 },
    round: { leaseMs: 60_000, deadlineMs: 600_000, maxStaleness: 0 },
  });
  const lost = await arrive();
  const { lease } = await leaseOf(lost);
  // Half-open: the line stands, and nobody reads from it or answers.
  const { engine } = lost.socket.io as unknown as { engine: { transport: { ws: { _socket: { pause(): void } } } } };
  engine.transport.ws._socket.pause();
  const goneMs = performance.now();
  const other = await arrive();
  let given = await askOf(other);
  while (given.kind === "none" && performance.now() - goneMs < 30_000) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    given = await askOf(other);
  }
  const afterMs = performance.now() - goneMs;
  expect(given).toMatchObject({ kind: "lease", assignment: { lease, attempt: 2 } });
  expect(afterMs).toBeLessThan(15_000);
  // Sooner would be no heartbeat but a closed connection.
  expect(afterMs).toBeGreaterThan(PING_TIMEOUT_MS - 1_000);
});
