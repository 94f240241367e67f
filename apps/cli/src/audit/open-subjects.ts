// From what was typed to the runs that are meant: an archive file, a data folder, or a run of a coordinator. Everything is only read.
import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import {
  httpSource,
  type MakeHash,
  type OpenedArchive,
  openArchive,
  type RunSource,
  storageSource,
  type Verification,
  type VerifyOptions,
  verify,
  verifyArchive,
} from "@weft/audit";
import { signatureCheck } from "@weft/coordinator-app/key";
import { RunId } from "@weft/protocol";
import { openFileStorage, StorageFault } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { getJson, reach } from "../commands/api.ts";
import { visible } from "../commands/columns.ts";
import { readAll } from "../files/write-whole.ts";

export interface Subject {
  readonly source: RunSource;
  /** For people: where it lies. */
  readonly where: string;
  verify(options: Pick<VerifyOptions, "key" | "onProgress">): Promise<Verification>;
}
export interface Where {
  /** A coordinator. */
  readonly url: string;
  /** A data folder whose coordinator is stopped, instead of the coordinator. */
  readonly data?: string;
  /** Of a folder, only this run. */
  readonly run?: string;
}

export const makeHash: MakeHash = () => {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
};
/** The platform's own hash and signatures: some ten times faster than the portable ones. */
export const fast = () => ({
  hash: (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex"),
  verify: signatureCheck(),
});

/** `name` as typed: a file is an archive, a data folder is all runs in it, everything else is a run's id. */
export async function withSubjects<T>(name: string, where: Where, work: (subjects: readonly Subject[]) => Promise<T>): Promise<T> {
  const found = await stat(name).catch(() => null);
  if (found?.isFile() === true) return withArchive(name, (archive) => work([archiveSubject(name, archive)]));
  if (found?.isDirectory() === true && (await isDataFolder(name))) return withFolder(name, where.run ?? null, work);
  if (!RunId.safeParse(name).success) throw new Error(`"${visible(name)}" is no file, no data folder and no run's id.`);
  if (where.data !== undefined) return withFolder(where.data, name, work);
  return work([await coordinatorSubject(name, where.url)]);
}

const isDataFolder = async (folder: string): Promise<boolean> => (await stat(`${folder}/format`).catch(() => null))?.isFile() === true;

/** Opens the file and closes it again. Throws a sentence for what is no archive. */
export async function withArchive<T>(path: string, work: (archive: OpenedArchive) => Promise<T>): Promise<T> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw new Error(`${path} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  });
  try {
    const { size } = await handle.stat();
    const opened = await openArchive({ sizeBytes: size, read: (start, end) => readAll(handle, start, end) }, makeHash);
    if (!opened.ok) throw new Error(`${path}: ${opened.message}`);
    return await work(opened.value);
  } finally {
    await handle.close();
  }
}

const archiveSubject = (path: string, archive: OpenedArchive): Subject => ({
  source: archive.source,
  where: path,
  verify: (options) => verifyArchive(archive, { ...fast(), ...options }),
});

async function withFolder<T>(folder: string, run: string | null, work: (subjects: readonly Subject[]) => Promise<T>): Promise<T> {
  if (!(await isDataFolder(folder))) throw new Error(`${folder} is no data folder of Weft.`);
  const { readOnlyDisk } = await import("./read-only-disk.ts");
  const storage = await openFileStorage(readOnlyDisk(nodeDisk()), folder).catch((error: unknown) => {
    if (error instanceof StorageFault && /is in use/.test(error.message))
      throw new Error(
        `${error.message.replace(/ Stop it first\.$/, "")} Ask the coordinator that runs there for a run by its id, or stop it first.`,
      );
    throw error;
  });
  try {
    for (const line of storage.recovered) process.stderr.write(`${line}\n`);
    const runs = await storage.ledger.runs();
    const chosen = run === null ? runs : runs.filter((candidate) => candidate === run);
    if (chosen.length === 0) throw new Error(run === null ? `${folder} holds no run.` : `${folder} holds no run "${visible(run)}".`);
    return await work(
      chosen.toSorted().map((id) => {
        const source = storageSource(storage, id);
        return { source, where: folder, verify: (options) => verify(source, { ...fast(), ...options }) };
      }),
    );
  } finally {
    await storage.close();
  }
}

async function coordinatorSubject(run: string, url: string): Promise<Subject> {
  // The coordinator's own key: what it vouches for must be what it serves.
  const { coordinator } = await getJson<{ readonly coordinator: string }>(url, "/api/info");
  await getJson(url, `/api/runs/${run}`);
  const source = httpSource(run, {
    get: (path) => reach(new URL(path, url).href),
    sleep: (ms) => new Promise((wake) => setTimeout(wake, ms)),
  });
  return { source, where: url, verify: (options) => verify(source, { ...fast(), key: coordinator, ...options }) };
}
