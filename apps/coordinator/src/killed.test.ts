// The real coordinator is killed before, amid and after what it does, while volunteers train; each time it is started again in the same folder.
// Whatever they were told must hold, and the weights must be those that a replay gives. WEFT_LONG_TESTS=1 kills it at every point there is.

import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replay, storageSource, verify } from "@weft/audit";
import type { LedgerRecord, RunSpec } from "@weft/protocol";
import { openFileStorage, type Storage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { brokenPromises, type Heard, hastyClock, nothingHeard, steadyVolunteer } from "@weft/testkit/steady";
import type { Volunteer } from "@weft/volunteer";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { digitsRun } from "./demonstration.ts";
import { temporaryFolder } from "./test/harness.ts";
import { type Bundle, bundleKillable, freePort, startKillable } from "./test/killable.ts";

const LONG = process.env.WEFT_LONG_TESTS === "1";
vi.setConfig({ testTimeout: LONG ? 3_600_000 : 600_000, hookTimeout: 60_000 });

/** Updates of two chunks lie in the store's segments, those of five are moved there as the files in which they came. */
const WIDTHS = { "two chunks": 1_100, "five chunks": 3_600 } as const;
type Size = keyof typeof WIDTHS;

/** Two leases a version, and everything that a run owes every few versions; each version is also a delta. */
const spec = (size: Size = "two chunks", retention: NonNullable<RunSpec["retention"]>["contributions"] = "all"): RunSpec => {
  const digits = digitsRun();
  return {
    ...digits,
    model: { kind: "mlp", inputs: 64, hidden: [WIDTHS[size]], classes: 10 },
    training: { ...digits.training, samplesPerVersion: 8, microBatch: 4, versions: 100_000, downlink: "int8" },
    evaluation: { everyVersions: 4, samples: 8 },
    checkpoints: { everyVersions: 8 },
    retention: { contributions: retention },
  };
};

/** In the order in which one start after another comes to them; the number is which time. */
const AT_FIRST_START = [
  ["amid write, format", 1],
  ["before rename, format", 1],
  ["amid write, key", 1],
  ["after rename, key", 1],
  ["before rename, blobs", 2],
  ["amid write, ledger, creation", 1],
  ["before sync, ledger, creation", 1],
] as const;
const IN_TRAINING = [
  ["before answer, lease, lease", 2],
  ["amid write, spool", 4],
  ["after answer, chunk, received", 1],
  ["amid write, contributions", 4],
  ["before sync, contributions", 3],
  ["amid write, ledger, admission", 2],
  ["before sync, ledger, admission", 2],
  ["after sync, ledger, admission", 3],
  ["after answer, chunk, admitted", 2],
  ["amid write, blobs/drafts", 2],
  ["before sync folder, blobs", 2],
  ["amid write, ledger, publication", 2],
  ["after sync, ledger, publication", 2],
  ["before notice, work", 2],
  ["before unlink, spool", 2],
] as const;
/** Of updates that are moved into the store. */
const IN_MOVING = [
  ["amid write, spool", 7],
  ["before sync, spool", 2],
  ["before rename, contributions", 2],
  ["after rename, contributions", 2],
  ["before sync folder, contributions", 3],
  ["after sync folder, contributions", 3],
  ["after sync, ledger, admission", 2],
  ["before unlink, spool", 2],
] as const;

let bundle: Bundle;
beforeAll(async () => {
  bundle = await bundleKillable();
});
afterAll(() => bundle.remove());
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

interface Scene {
  readonly folder: string;
  readonly port: number;
  readonly heard: Heard;
  readonly points: string;
  readonly run: RunSpec;
}
async function scene(run = spec()): Promise<Scene> {
  const folder = await temporaryFolder();
  const points = `${folder}.points`;
  cleanUp.push(() => {
    for (const path of [folder, points]) rmSync(path, { recursive: true, force: true });
  });
  return { folder, port: await freePort(), heard: nothingHeard(), points, run };
}
function volunteers({ port, heard }: Scene, seeds: readonly number[], stepMs = 0): Volunteer[] {
  return seeds.map((seed) => {
    const volunteer = steadyVolunteer({ url: `http://localhost:${port}`, seed, heard, stepMs, clock: hastyClock });
    cleanUp.push(() => volunteer.stop());
    volunteer.start();
    return volunteer;
  });
}
const start = (at: Scene, point: string | null = null, nth = 1) => {
  const killable = startKillable(bundle, { ...at, plan: { point, nth, log: at.points } });
  cleanUp.push(async () => {
    killable.child.kill("SIGKILL");
    await killable.ended;
  });
  return killable;
};
const until = async (what: string, done: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> => {
  const untilMs = Date.now() + limitMs;
  while (!(await done())) {
    if (Date.now() > untilMs) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Starts it, and waits until it has been killed at the point. */
async function killAt(at: Scene, point: string, nth: number): Promise<void> {
  const killable = start(at, point, nth);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it never came to "${point}" for the ${nth}th time`)), 60_000);
  });
  expect(await Promise.race([killable.ended, late]).finally(() => clearTimeout(timer)), point).toEqual({ code: null, signal: "SIGKILL" });
}

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function recordsOf(storage: Storage): Promise<LedgerRecord[]> {
  const records: LedgerRecord[] = [];
  for (const run of await storage.ledger.runs()) for await (const record of storage.ledger.read(run)) records.push(record);
  return records;
}

/** Everything that volunteers were told is in these records, once, and in a version where its round is closed. */
function expectKept(heard: Heard, records: readonly LedgerRecord[], when: string): void {
  expect(brokenPromises(heard, records), when).toEqual({ lost: [], twice: [], uncounted: [] });
}

/** The ledger as it lies on the disk, opened beside it: what a process makes of it is its own affair. */
async function recordsOnDisk({ folder }: Scene): Promise<LedgerRecord[]> {
  if (!existsSync(join(folder, "ledger"))) return [];
  const copy = await temporaryFolder();
  for (const part of ["ledger", "format"])
    if (existsSync(join(folder, part))) cpSync(join(folder, part), join(copy, part), { recursive: true });
  const storage = await openFileStorage(nodeDisk(), copy);
  const records = await recordsOf(storage);
  await storage.close();
  rmSync(copy, { recursive: true });
  return records;
}

async function expectKeptOnDisk(at: Scene, when: string): Promise<void> {
  expectKept(at.heard, await recordsOnDisk(at), when);
}

/** Starts it unharmed, lets it make a few versions more, stops it, and audits all that it has: chain, signatures, bytes, sums, and every version's weights. */
async function goOnAndAudit(at: Scene): Promise<LedgerRecord[]> {
  const last = start(at);
  expect((await last.serving)?.port).toBe(at.port);
  const admitted = at.heard.admitted.size;
  await until("more contributions", () => at.heard.admitted.size >= admitted + 8);
  last.child.kill("SIGTERM");
  expect(await last.ended).toEqual({ code: 0, signal: null });
  const storage = await openFileStorage(nodeDisk(), at.folder);
  cleanUp.push(() => storage.close());
  expect(storage.recovered).toEqual([]);
  const records = await recordsOf(storage);
  expectKept(at.heard, records, "at the end");
  const [run] = await storage.ledger.runs();
  const source = storageSource(storage, run ?? "");
  expect((await verify(source, { hash })).findings).toEqual([]);
  const versions = records.filter(({ event }) => event.type === "version-published").length;
  expect(versions).toBeGreaterThan(3);
  const replayed = await replay(source, { hash });
  expect(replayed).toMatchObject({ ok: true, different: null, refused: null });
  if (at.run.retention?.contributions === "all") expect(replayed.givenUp).toEqual([]);
  return records;
}

test("killed at its first start, it begins again, once, and killed in training it goes on with nothing lost and nothing counted twice", async () => {
  const at = await scene();
  for (const [point, nth] of AT_FIRST_START) {
    await killAt(at, point, nth);
    await expectKeptOnDisk(at, `after the kill ${point}`);
  }
  volunteers(at, [1, 2]);
  for (const [point, nth] of IN_TRAINING) {
    await killAt(at, point, nth);
    await expectKeptOnDisk(at, `after the kill ${point}`);
  }
  const records = await goOnAndAudit(at);
  expect(records.filter(({ event }) => event.type === "run-created")).toHaveLength(1);
  expect(at.heard.resumed).toBeGreaterThan(0);
});

test("killed while updates are moved into the store, it loses none and counts none twice", async () => {
  const at = await scene(spec("five chunks"));
  volunteers(at, [1, 2]);
  for (const [point, nth] of IN_MOVING) {
    await killAt(at, point, nth);
    await expectKeptOnDisk(at, `after the kill ${point}`);
  }
  await goOnAndAudit(at);
});

type Counts = ReadonlyMap<string, number>;
/** How often a first start, a later start, and two dozen contributions after a first start come to each point. */
async function allPoints(size: Size): Promise<{ readonly first: Counts; readonly later: Counts; readonly training: Counts }> {
  const at = await scene(spec(size, { versions: 2 }));
  let read = 0;
  const passed = (): Counts => {
    const lines = readFileSync(at.points, "utf8").trim().split("\n");
    const counts = new Map<string, number>();
    for (const point of lines.slice(read)) counts.set(point, (counts.get(point) ?? 0) + 1);
    read = lines.length;
    return counts;
  };
  const killable = start(at);
  await killable.serving;
  const first = passed();
  const working = volunteers(at, [1, 2]);
  await until("a dozen versions", () => at.heard.admitted.size >= 24);
  killable.child.kill("SIGKILL");
  await killable.ended;
  for (const volunteer of working) await volunteer.stop();
  const training = passed();
  const again = start(at);
  await again.serving;
  const later = passed();
  again.child.kill("SIGKILL");
  await again.ended;
  return { first, later, training };
}

// Minutes long: a part of the suite only where it is asked for.
if (LONG) {
  test.each(["two chunks", "five chunks"] as const)(
    "killed once at every point of a first start and at every point of training with updates of %s, it goes on",
    async (size) => {
      const points = await allPoints(size);
      expect(points.first.size).toBeGreaterThan(40);
      expect(new Set([...points.first.keys(), ...points.training.keys()]).size).toBeGreaterThan(60);
      process.stdout.write(`${points.first.size} points of a first start, ${points.training.size} of training\n`);
      for (const point of points.first.keys()) {
        const at = await scene();
        await killAt(at, point, 1);
        const killable = start(at);
        expect(await killable.serving, `after the kill ${point}`).not.toBeNull();
        killable.child.kill("SIGKILL");
        await killable.ended;
      }
      const at = await scene(spec(size, { versions: 2 }));
      volunteers(at, [1, 2]);
      for (const [point, times] of points.training) {
        // After those that come while it starts; the second one, where there is one.
        await killAt(at, point, (points.later.get(point) ?? 0) + Math.min(times, 2));
        await expectKeptOnDisk(at, `after the kill ${point}`);
      }
      await goOnAndAudit(at);
    },
  );
}

test("a volunteer keeps its open lease across a kill, and answers it", async () => {
  const at = await scene({
    ...spec(),
    model: { kind: "mlp", inputs: 64, hidden: [8], classes: 10 },
    round: { leaseMs: 60_000, deadlineMs: 3_000_000, maxStaleness: 0 },
  });
  const first = start(at);
  await first.serving;
  const [volunteer] = volunteers(at, [1], 600);
  await until("a lease", () => volunteer?.snapshot().lease?.phase === "computing");
  // Offers are buffered: one that was made in the last second before a kill is made again.
  await until("the lease on the disk", async () => (await recordsOnDisk(at)).some(({ event }) => event.type === "lease-assigned"));
  first.child.kill("SIGKILL");
  await first.ended;
  const second = start(at);
  await second.serving;
  await until("its answer", () => at.heard.admitted.size > 0);
  second.child.kill("SIGTERM");
  await second.ended;
  const storage = await openFileStorage(nodeDisk(), at.folder);
  cleanUp.push(() => storage.close());
  const records = await recordsOf(storage);
  const [answer] = [...at.heard.admitted.values()];
  expect(answer).toMatchObject({ lease: "0.0", attempt: 1 });
  expect(records.filter(({ event }) => event.type === "lease-assigned" && event.lease === "0.0")).toHaveLength(1);
});
