// Immutable bytes as files named by their SHA-256, in folders of two levels: blobs/ab/cd/abcd.... A file under its name is whole: it is
// written under a temporary name, synced, renamed, and the folder synced. Knows nothing of what the bytes are.
import type { BlobRef, Sha256 } from "@weft/protocol";
import type { HashBytes } from "./checksum.ts";
import type { Disk } from "./disk.ts";
import { toFault } from "./faults.ts";
import { type BlobStore, StorageFault } from "./interfaces.ts";

const NAME = /^[0-9a-f]{64}$/;

export class BlobFiles implements BlobStore {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #hash: HashBytes;
  readonly #inFlight = new Map<Sha256, Promise<BlobRef>>();
  /** Folders known durable since opening. An earlier process may have died between a rename and its sync, so each is synced once. */
  readonly #folders = new Map<string, Promise<void>>();
  #drafts = 0;

  constructor(disk: Disk, folder: string, hash: HashBytes) {
    this.#disk = disk;
    this.#folder = folder;
    this.#hash = hash;
  }

  /** Removes what a process that died left half-written. */
  async recover(): Promise<void> {
    const drafts = `${this.#folder}/drafts`;
    await this.#disk.makeFolder(drafts);
    for (const name of await this.#disk.list(drafts)) await this.#disk.unlink(`${drafts}/${name}`);
  }

  #folderOf(sha256: Sha256): string {
    return `${this.#folder}/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}`;
  }
  #path(sha256: Sha256): string {
    return `${this.#folderOf(sha256)}/${sha256}`;
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const sha256 = await this.#hash(bytes);
    const same = this.#inFlight.get(sha256);
    if (same !== undefined) return same;
    const work = this.#write(sha256, bytes).catch((error: unknown) => {
      throw toFault(error, "Writing a file of the store");
    });
    this.#inFlight.set(sha256, work);
    try {
      return await work;
    } finally {
      this.#inFlight.delete(sha256);
    }
  }

  async #write(sha256: Sha256, bytes: Uint8Array): Promise<BlobRef> {
    const ref: BlobRef = { sha256, sizeBytes: bytes.length };
    const folder = this.#folderOf(sha256);
    const path = this.#path(sha256);
    await this.#durableFolder(folder);
    if ((await this.#disk.size(path)) !== null) {
      // Whoever puts what is there relies on it: a promise for bytes that have changed meanwhile would be empty.
      await this.get(sha256);
      return ref;
    }
    const draft = `${this.#folder}/drafts/${this.#drafts++}`;
    const file = await this.#disk.openAppend(draft);
    try {
      await file.append(bytes);
      await file.datasync();
    } catch (error) {
      await this.#disk.unlink(draft).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
    await this.#disk.rename(draft, path);
    await this.#disk.syncFolder(folder);
    return ref;
  }

  #durableFolder(folder: string): Promise<void> {
    const known = this.#folders.get(folder);
    if (known !== undefined) return known;
    const work = (async () => {
      await this.#disk.makeFolder(folder);
      await this.#disk.syncFolder(folder);
      await this.#disk.syncFolder(folder.slice(0, folder.lastIndexOf("/")));
      await this.#disk.syncFolder(this.#folder);
    })();
    this.#folders.set(folder, work);
    work.catch(() => this.#folders.delete(folder));
    return work;
  }

  async get(sha256: Sha256): Promise<Uint8Array | null> {
    const bytes = await this.getRange(sha256, 0, Number.MAX_SAFE_INTEGER);
    if (bytes === null) return null;
    if ((await this.#hash(bytes)) === sha256) return bytes;
    throw new StorageFault(
      "damaged",
      `${this.#path(sha256)}: the file's bytes do not match its name. It was changed or the disk is failing; nothing was repaired.`,
    );
  }

  async getRange(sha256: Sha256, start: number, end: number): Promise<Uint8Array | null> {
    if (!NAME.test(sha256)) return null;
    try {
      if ((await this.#disk.size(this.#path(sha256))) === null) return null;
      return await this.#disk.readRange(this.#path(sha256), Math.max(0, start), end);
    } catch (error) {
      throw toFault(error, "Reading a file of the store");
    }
  }

  async size(sha256: Sha256): Promise<number | null> {
    if (!NAME.test(sha256)) return null;
    try {
      return await this.#disk.size(this.#path(sha256));
    } catch (error) {
      throw toFault(error, "Reading a file of the store");
    }
  }

  async delete(sha256: Sha256): Promise<void> {
    if (!NAME.test(sha256)) return;
    try {
      await this.#disk.unlink(this.#path(sha256));
    } catch (error) {
      throw toFault(error, "Removing a file of the store");
    }
  }
}
