// Explores every power cut of a scripted history: whatever was acknowledged before the cut must be there after it, order is kept, and work
// goes on. Gives the first loss as a sentence, so that a test can also ask whether a missing sync would be noticed.
import type { LedgerRecord, Sha256 } from "@weft/protocol";
import { sha256 } from "../checksum.ts";
import { collect, exampleRecord } from "../conformance.ts";
import type { Disk } from "../disk.ts";
import { openFileStorage } from "../files.ts";
import { type FolderFiles, folderFiles } from "../folder-files.ts";
import type { Storage } from "../interfaces.ts";
import { MemoryDisk, type PowerCut } from "../memory-disk.ts";

const FOLDER = "weft/store";
// Small segments, so that the history crosses from one to the next.
const OPTIONS = { ledgerSegmentBytes: 900, contributionSegmentBytes: 700, schedule: () => () => undefined };
const RUNS = ["a", "b", "c"] as const;
const UPLOADS = "weft/uploads";

/** What was promised so far. */
interface Promised {
  /** Per run: how many records were acknowledged as durable. Each names a contribution. */
  readonly records: Map<string, number>;
  readonly blobs: Map<Sha256, Uint8Array>;
  /** Version of each named file that was acknowledged, or read. */
  readonly files: Map<string, number>;
  /** Contributions that may be gone: somebody asked for that. */
  readonly dropped: Set<Sha256>;
}
interface World {
  readonly storage: Storage;
  readonly files: FolderFiles;
}
const nothing = (): Promised => ({ records: new Map(), blobs: new Map(), files: new Map(), dropped: new Set() });

const bytesOf = (text: string, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => text.charCodeAt(index % text.length) ^ (index & 255));
const same = (a: Uint8Array | null, b: Uint8Array): boolean => a !== null && Buffer.from(a).equals(b);
const contributionOf = (run: string, seq: number): Uint8Array => bytesOf(`${run}${seq}`, 60 + seq * 7);
const names = new Map<string, Sha256>();
for (const run of RUNS) for (let seq = 0; seq < 40; seq++) names.set(`${run}/${seq}`, await sha256(contributionOf(run, seq)));
const nameOf = (run: string, seq: number): Sha256 => names.get(`${run}/${seq}`) as Sha256;
const recordOf = (run: string, seq: number): LedgerRecord => exampleRecord(seq, `${run} ${seq} ${"x".repeat(seq % 5)}`);
const fileOf = (name: string, version: number): Uint8Array => bytesOf(`${name}${version}`, 40 + 3 * version);

const open = async (disk: Disk): Promise<World> => ({
  storage: await openFileStorage(disk, FOLDER, OPTIONS),
  files: folderFiles(disk, `${FOLDER}/names`),
});

/** Appends records, each naming a contribution that is put just before; every fourth is only buffered. */
const append = async ({ storage }: World, promised: Promised, run: string, from: number, to: number): Promise<void> => {
  const work: Promise<void>[] = [];
  for (let seq = from; seq < to; seq++) {
    work.push(storage.contributions.put(run, nameOf(run, seq), contributionOf(run, seq)));
    const durable = seq % 4 !== 3;
    const stored = storage.ledger.append(run, [recordOf(run, seq)], durable ? "durable" : "buffered");
    work.push(
      stored.then(() => {
        if (durable) promised.records.set(run, Math.max(promised.records.get(run) ?? 0, seq + 1));
      }),
    );
  }
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
};
const putBlob = async ({ storage }: World, promised: Promised, text: string): Promise<void> => {
  const bytes = bytesOf(text, 300);
  promised.blobs.set((await storage.blobs.put(bytes)).sha256, bytes);
};
const putFile = async ({ files }: World, promised: Promised, name: string, version: number): Promise<void> => {
  await files.write(name, fileOf(name, version));
  promised.files.set(name, version);
};

const drop = async ({ storage }: World, promised: Promised, run: string, from: number, to: number): Promise<void> => {
  const gone = Array.from({ length: to - from }, (_, index) => nameOf(run, from + index));
  for (const name of gone) promised.dropped.add(name);
  await storage.contributions.drop(run, gone);
};
/** What was dropped comes again, before a record of its run: with that record's acknowledgement it must be there again. */
const putAgain = async (world: World, promised: Promised, run: string, seq: number): Promise<void> => {
  const next = promised.records.get(run) ?? 0;
  await world.storage.contributions.put(run, nameOf(run, seq), contributionOf(run, seq));
  await append(world, promised, run, next, next + 2);
  promised.dropped.delete(nameOf(run, seq));
};

/** A contribution that lies whole in a file beside the store, as an upload does: it is moved there, and then a record names it. */
const adoptAndAppend = async (disk: Disk, world: World, promised: Promised, run: string, seq: number): Promise<void> => {
  const bytes = contributionOf(run, seq);
  const path = `${UPLOADS}/${run}${seq}`;
  await disk.makeFolder(UPLOADS);
  await disk.unlink(path);
  const file = await disk.openAppend(path);
  await file.append(bytes);
  await file.close();
  await world.storage.contributions.adopt(run, nameOf(run, seq), path, bytes.length);
  await append(world, promised, run, seq, seq + 1);
};

const history = async (disk: Disk, promised: Promised): Promise<void> => {
  const world = await open(disk);
  await putFile(world, promised, "one", 0);
  await append(world, promised, "a", 0, 1);
  await putBlob(world, promised, "first");
  await append(world, promised, "a", 1, 6);
  await Promise.all([append(world, promised, "b", 0, 3), append(world, promised, "a", 6, 9), putBlob(world, promised, "second")]);
  await putFile(world, promised, "one", 1);
  await putFile(world, promised, "two", 0);
  await putBlob(world, promised, "first");
  await append(world, promised, "a", 9, 15);
  await drop(world, promised, "a", 0, 7);
  await putAgain(world, promised, "a", 2);
  await append(world, promised, "b", 3, 5);
  await adoptAndAppend(disk, world, promised, "b", 5);
  await adoptAndAppend(disk, world, promised, "c", 0);
  await drop(world, promised, "b", 5, 6);
  await world.storage.close();
};

/** What is not as promised, in a sentence; null where all is well. */
const lossIn = async ({ storage, files }: World, promised: Promised): Promise<string | null> => {
  for (const run of RUNS) {
    const records = await collect(storage.ledger.read(run));
    const wanted = promised.records.get(run) ?? 0;
    if (records.length < wanted) return `run ${run} has ${records.length} records of ${wanted} that were acknowledged`;
    for (const [seq, record] of records.entries()) {
      if (JSON.stringify(record) !== JSON.stringify(recordOf(run, seq))) return `record ${seq} of run ${run} is another`;
      const name = nameOf(run, seq);
      const contribution = await storage.contributions.get(run, name);
      if (contribution === null && promised.dropped.has(name)) continue;
      if (!same(contribution, contributionOf(run, seq))) return `record ${seq} of run ${run} names a contribution that is missing`;
    }
  }
  for (const [name, bytes] of promised.blobs) if (!same(await storage.blobs.get(name), bytes)) return `blob ${name} is missing`;
  for (const [name, version] of promised.files) {
    const found = await files.read(name);
    if (![version, version + 1].some((one) => same(found, fileOf(name, one))))
      return `file ${name} is not of version ${version} or the next`;
  }
  return null;
};

/** Everything that can be seen now is promised: it was read, so it must stay. */
const seenIn = async (world: World): Promise<Promised> => {
  const promised = nothing();
  for (const run of RUNS) {
    const records = await collect(world.storage.ledger.read(run));
    promised.records.set(run, records.length);
    for (const { seq } of records)
      if ((await world.storage.contributions.get(run, nameOf(run, seq))) === null) promised.dropped.add(nameOf(run, seq));
  }
  await putBlob(world, promised, "first");
  for (const name of ["one", "two"])
    for (const version of [1, 0])
      if (!promised.files.has(name) && same(await world.files.read(name), fileOf(name, version))) promised.files.set(name, version);
  return promised;
};

/** The history up to the cut. What was under way runs into it. */
const runInto = async (disk: MemoryDisk, wrapped: Disk, promised: Promised): Promise<void> => {
  // The cut, as the storage reports it: what matters is what was promised before.
  await history(wrapped, promised).catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  disk.cutPowerAt(0);
};

/** Starts again after the cut: nothing is missing, work goes on, and what that promises survives a second cut. */
const startAgain = async (disk: MemoryDisk, wrapped: Disk, promised: Promised): Promise<string | null> => {
  const second = await open(wrapped);
  const lost = await lossIn(second, promised);
  if (lost !== null) return lost;
  // The last contribution that was named again may be on the disk already, unsynced: it is promised anew.
  const next = (await collect(second.storage.ledger.read("a"))).length;
  await append(second, promised, "a", next, next + 2);
  const last = next + 1;
  if (last % 4 !== 3) promised.records.set("a", last + 1);
  await putFile(second, promised, "two", 1);
  await second.storage.close();
  disk.powerOn("lost");
  const third = await open(wrapped);
  const later = await lossIn(third, promised);
  if (later !== null) return `after a second cut ${later}`;
  return third.storage.recovered.length === 0 ? null : `after a clean stop: ${third.storage.recovered.join(" ")}`;
};

/** A process is killed and another takes over; then power is lost at once. */
const takeOver = async (disk: MemoryDisk, wrapped: Disk): Promise<string | null> => {
  const promised = await seenIn(await open(wrapped));
  disk.powerOn("lost");
  return lossIn(await open(wrapped), promised);
};

export type Exploration = PowerCut | "killed, then lost";
export const EXPLORATIONS: readonly Exploration[] = ["lost", "torn", "mixed", "killed", "killed, then lost"];
/** How often each point is cut in a mixed way, with another seed each time. */
const MIXED_SEEDS = 3;

export type Wrap = (disk: Disk) => Disk;

/** Operations of the history when nothing is cut. */
export const countOperations = async (wrap: Wrap = (disk) => disk): Promise<number> => {
  const disk = new MemoryDisk();
  await history(wrap(disk), nothing());
  return disk.operations;
};

/** Cuts before each operation in turn. The first loss, with the operations around it; null where there is none. */
export const firstLoss = async (exploration: Exploration, wrap: Wrap = (disk) => disk): Promise<string | null> => {
  const operations = await countOperations(wrap);
  for (let at = 0; at <= operations; at++)
    for (let seed = 0; seed < (exploration === "mixed" ? MIXED_SEEDS : 1); seed++) {
      const disk = new MemoryDisk();
      const wrapped = wrap(disk);
      disk.cutPowerAt(at);
      const promised = nothing();
      await runInto(disk, wrapped, promised);
      disk.powerOn(exploration === "killed, then lost" ? "killed" : exploration, at * MIXED_SEEDS + seed);
      const loss = await (exploration === "killed, then lost" ? takeOver(disk, wrapped) : startAgain(disk, wrapped, promised)).catch(
        (error: unknown) => `it ended in ${String(error)}`,
      );
      if (loss !== null)
        return `cut (${exploration}) before operation ${at}: ${loss}; ${disk.log.slice(Math.max(0, at - 3), at + 1).join("; ")}`;
    }
  return null;
};
