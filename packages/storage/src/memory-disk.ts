// A disk in memory that forgets what was not synced: it can lose power at its n-th operation, be full, or be read-only. Deterministic.
// Two views of everything: what programs see now, and what would be there after a power cut.
import { type Disk, DiskError, type DiskFile, parentOf } from "./disk.ts";

interface Inode {
  bytes: Uint8Array<ArrayBuffer>;
  size: number;
  /** What a power cut leaves: the first so many bytes, or, where those were cut off since the last datasync, a copy of them. */
  synced: number | Uint8Array<ArrayBuffer>;
}

const syncedBytes = ({ bytes, synced }: Inode): Uint8Array<ArrayBuffer> => (typeof synced === "number" ? bytes.slice(0, synced) : synced);
interface Folder {
  seen: Map<string, Inode | "folder">;
  durable: Map<string, Inode | "folder">;
}
/**
 * `lost`: only synced bytes and entries survive. `torn`: entries survive, unsynced bytes survive in part. `mixed`: of what was not synced each
 * entry and each file's bytes survive or not on their own, some as zeros. `killed`: the process died, the disk did not.
 */
export type PowerCut = "lost" | "torn" | "mixed" | "killed";

export interface MemoryDiskOptions {
  readonly capacityBytes?: number;
}

/** Numbers from 0 to 1 (exclusive), the same for the same seed (xorshift32 [Marsaglia 2003]). */
const chances = (seed: number): (() => number) => {
  let state = (Math.imul(seed + 1, 0x9e37_79b1) ^ 0x5bd1_e995) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
};

/** Each entry as it is seen now or as it is durable. */
const mixedEntries = ({ seen, durable }: Folder, chance: () => number): Folder["seen"] => {
  const entries: Folder["seen"] = new Map();
  for (const name of new Set([...durable.keys(), ...seen.keys()])) {
    const entry = (durable.get(name) === seen.get(name) || chance() < 0.5 ? seen : durable).get(name);
    if (entry !== undefined) entries.set(name, entry);
  }
  return entries;
};

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

export class MemoryDisk implements Disk {
  #folders = new Map<string, Folder>();
  #locks = new Set<string>();
  #operations = 0;
  #cutAt = Number.POSITIVE_INFINITY;
  #stopped = false;
  #boot = 0;
  #log: string[] = [];
  capacityBytes: number;
  readOnly = false;

  constructor(options: MemoryDiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    for (const root of [".", "/"]) this.#folders.set(root, { seen: new Map(), durable: new Map() });
  }

  /** Operations that change or sync something, so far: the points at which power can be cut. */
  get operations(): number {
    return this.#operations;
  }
  /** Each such operation in words, for a failing test to print. */
  get log(): readonly string[] {
    return this.#log;
  }
  /** The operation with this number (from 0, counted since the disk was made) fails before it takes effect, and all later ones too. */
  cutPowerAt(operation: number): void {
    this.#cutAt = operation;
  }
  /** The machine starts again: handles and locks of before are gone, and so is what the cut takes. `seed` chooses what a mixed cut takes. */
  powerOn(cut: PowerCut, seed = 0): void {
    this.#boot++;
    this.#stopped = false;
    this.#cutAt = Number.POSITIVE_INFINITY;
    this.#locks.clear();
    if (cut === "killed") return;
    const done = new Set<Inode>();
    const chance = chances(seed);
    for (const folder of this.#folders.values()) {
      if (cut === "lost") folder.seen = new Map(folder.durable);
      else if (cut === "mixed") folder.seen = mixedEntries(folder, chance);
      folder.durable = new Map(folder.seen);
      for (const entry of folder.seen.values()) {
        if (entry === "folder" || done.has(entry)) continue;
        done.add(entry);
        this.#loseUnsynced(entry, cut, chance);
      }
    }
    // A folder whose own entry was lost is gone with all it held.
    for (const path of [...this.#folders.keys()].sort()) {
      if (path === "." || path === "/") continue;
      if (this.#folders.get(parentOf(path))?.seen.get(nameOf(path)) !== "folder") this.#folders.delete(path);
    }
  }

  #loseUnsynced(inode: Inode, cut: "lost" | "torn" | "mixed", chance: () => number): void {
    const now = inode.bytes.slice(0, inode.size);
    let survives = syncedBytes(inode).slice();
    const kept = survives.length;
    const extra = now.length - kept;
    // Torn: about half of the unsynced tail is there.
    if (cut === "torn" && extra > 0) survives = now.slice(0, kept + Math.ceil(extra / 2));
    else if (cut === "mixed" && extra > 0) {
      survives = now.slice(0, kept + Math.floor(chance() * (extra + 1)));
      // The length is there, but pages before its end never came.
      if (chance() < 0.5) survives.fill(0, kept, kept + Math.ceil(chance() * (survives.length - kept)));
    } else if (cut === "mixed" && chance() < 0.5) survives = now;
    inode.bytes = survives;
    inode.size = survives.length;
    inode.synced = survives.length;
  }

  /** Changes one byte in place, as failing hardware does. */
  flip(path: string, offset: number): void {
    const inode = this.#inode(path);
    if (inode === null || offset >= inode.size) throw new RangeError(`${path} has no byte ${offset}`);
    inode.bytes[offset] = (inode.bytes[offset] ?? 0) ^ 1;
    inode.synced = inode.size;
  }

  #step(what: string, changes = true): void {
    if (this.#stopped) throw new DiskError("stopped", "the power is off");
    if (this.#operations >= this.#cutAt) {
      this.#stopped = true;
      throw new DiskError("stopped", "the power was cut");
    }
    this.#operations++;
    this.#log.push(what);
    if (changes && this.readOnly) throw new DiskError("denied", "the file system is read-only");
  }
  #reading(): void {
    if (this.#stopped) throw new DiskError("stopped", "the power is off");
  }
  #folder(path: string): Folder {
    const folder = this.#folders.get(path);
    if (folder === undefined) throw new DiskError("missing", `${path}: no such folder`);
    return folder;
  }
  #inode(path: string): Inode | null {
    const entry = this.#folders.get(parentOf(path))?.seen.get(nameOf(path));
    return entry === undefined || entry === "folder" ? null : entry;
  }
  #used(): number {
    let total = 0;
    for (const { seen } of this.#folders.values()) for (const entry of seen.values()) if (entry !== "folder") total += entry.size;
    return total;
  }
  #write(inode: Inode, bytes: Uint8Array): void {
    if (inode.size + bytes.length > inode.bytes.length) {
      const grown = new Uint8Array(Math.max(inode.size + bytes.length, 2 * inode.bytes.length));
      grown.set(inode.bytes.subarray(0, inode.size));
      inode.bytes = grown;
    }
    inode.bytes.set(bytes, inode.size);
    inode.size += bytes.length;
  }

  async makeFolder(path: string): Promise<void> {
    if (this.#folders.has(path)) return this.#reading();
    await this.makeFolder(parentOf(path));
    if (this.#folders.has(path)) return;
    this.#step(`make folder ${path}`);
    this.#folders.set(path, { seen: new Map(), durable: new Map() });
    this.#folder(parentOf(path)).seen.set(nameOf(path), "folder");
  }

  async openAppend(path: string): Promise<DiskFile> {
    this.#reading();
    const found = this.#inode(path);
    if (found === null) this.#step(`create ${path}`);
    const inode = found ?? { bytes: new Uint8Array(0), size: 0, synced: 0 };
    if (found === null) this.#folder(parentOf(path)).seen.set(nameOf(path), inode);
    const boot = this.#boot;
    let open = true;
    const step = (what: string): void => {
      if (!open || boot !== this.#boot) throw new DiskError("stopped", `${path}: the handle is closed`);
      this.#step(`${what} ${path}`);
    };
    return {
      append: async (bytes) => {
        step(`append ${bytes.length} to`);
        const room = Number.isFinite(this.capacityBytes) ? this.capacityBytes - this.#used() : bytes.length;
        this.#write(inode, bytes.subarray(0, Math.max(0, Math.min(room, bytes.length))));
        if (room < bytes.length) throw new DiskError("full", `${path}: no space left on the disk`);
      },
      datasync: async () => {
        step("datasync");
        inode.synced = inode.size;
      },
      truncate: async (sizeBytes) => {
        step(`truncate to ${sizeBytes}`);
        if (sizeBytes < syncedBytes(inode).length) inode.synced = syncedBytes(inode);
        inode.size = Math.min(inode.size, sizeBytes);
      },
      close: async () => {
        open = false;
      },
    };
  }

  async size(path: string): Promise<number | null> {
    this.#reading();
    return this.#inode(path)?.size ?? null;
  }
  async readRange(path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#reading();
    const inode = this.#inode(path);
    if (inode === null) throw new DiskError("missing", `${path}: no such file`);
    return inode.bytes.slice(start, Math.min(end, inode.size));
  }
  async list(folder: string): Promise<readonly string[]> {
    this.#reading();
    return [...(this.#folders.get(folder)?.seen.keys() ?? [])].sort();
  }
  async rename(from: string, to: string): Promise<void> {
    this.#step(`rename ${from} to ${to}`);
    const inode = this.#inode(from);
    if (inode === null) throw new DiskError("missing", `${from}: no such file`);
    this.#folder(to === from ? parentOf(from) : parentOf(to)).seen.set(nameOf(to), inode);
    if (to !== from) this.#folder(parentOf(from)).seen.delete(nameOf(from));
  }
  async unlink(path: string): Promise<void> {
    this.#step(`unlink ${path}`);
    if (this.#inode(path) !== null) this.#folder(parentOf(path)).seen.delete(nameOf(path));
  }
  async syncFolder(path: string): Promise<void> {
    this.#step(`sync folder ${path}`, false);
    const folder = this.#folder(path);
    folder.durable = new Map(folder.seen);
  }
  async lock(path: string): Promise<{ readonly note: string | null; release(): Promise<void> }> {
    this.#step(`lock ${path}`);
    if (this.#locks.has(path)) throw new DiskError("exists", "held by process 1");
    this.#locks.add(path);
    const boot = this.#boot;
    return {
      note: null,
      release: async () => {
        if (boot === this.#boot) this.#locks.delete(path);
      },
    };
  }
}
