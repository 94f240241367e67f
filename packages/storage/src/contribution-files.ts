// Encoded contributions, one folder a run: in append-only segment files, where a header stands before the bytes as they came, and the caller
// says when to write; large ones in files of their own, named by their SHA-256. Knows where each begins.
//
// A file under such a name is whole: it was synced before it was moved there.
import type { RunId, Sha256 } from "@weft/protocol";
import type { HashBytes } from "./checksum.ts";
import {
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
  type Header,
  PREAMBLE_BYTES,
  RECORD_MAGIC,
  SALT_BYTES,
  SEGMENT_MAGIC,
  startsWith,
  withSalt,
} from "./contribution-records.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { toFault } from "./faults.ts";
import { type Room, StorageFault } from "./interfaces.ts";

const WINDOW_BYTES = 1024 * 1024;
const SEGMENT_NAME = /^(\d{8})\.seg$/;
const OWN_NAME = /^[0-9a-f]{64}$/;
const NO_SALT = new Uint8Array(0);

/** Or a file that holds one contribution and nothing else. */
interface Segment {
  readonly path: string;
  readonly salt: Uint8Array;
  sizeBytes: number;
  /** Contributions in it that were not dropped: when there is none, and it takes no more, it goes. */
  kept: number;
}
interface Place {
  readonly segment: Segment;
  readonly offset: number;
  readonly sizeBytes: number;
}
interface RunFiles {
  readonly run: RunId;
  readonly folder: string;
  readonly places: Map<Sha256, Place>;
  readonly pending: Map<Sha256, Uint8Array>;
  pendingBytes: number;
  segments: number;
  /** Whether the folder is there and durable. */
  made: boolean;
  last: Segment | null;
  file: DiskFile | null;
  fault: StorageFault | null;
}
export interface ContributionBatch {
  readonly files: RunFiles;
  readonly entries: readonly (readonly [Sha256, Uint8Array])[];
}

const sharedBytes = (sizeBytes: number): Uint8Array<SharedArrayBuffer> => new Uint8Array(new SharedArrayBuffer(sizeBytes));
function copyOf(bytes: Uint8Array, room: Room): Uint8Array {
  if (room === "own") return bytes.slice();
  const copy = sharedBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

export class ContributionFiles {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #hash: HashBytes;
  readonly #runs = new Map<RunId, RunFiles>();

  constructor(disk: Disk, folder: string, segmentBytes: number, hash: HashBytes) {
    this.#disk = disk;
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
    this.#hash = hash;
  }

  #files(run: RunId): RunFiles {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    const files: RunFiles = {
      run,
      folder: `${this.#folder}/${run}`,
      places: new Map(),
      pending: new Map(),
      pendingBytes: 0,
      segments: 0,
      made: false,
      last: null,
      file: null,
      fault: null,
    };
    this.#runs.set(run, files);
    return files;
  }

  /** Finds every contribution. Gives a sentence for each torn end that was dropped; damage elsewhere is thrown when it is read. */
  async recover(isRunId: (name: string) => boolean): Promise<string[]> {
    const sentences: string[] = [];
    for (const run of await this.#disk.list(this.#folder)) {
      if (!isRunId(run)) continue;
      const files = this.#files(run);
      const all = await this.#disk.list(files.folder);
      const names = all.filter((name) => SEGMENT_NAME.test(name));
      for (const [index, name] of names.entries()) {
        const sentence = await this.#recoverSegment(files, `${files.folder}/${name}`, index === names.length - 1);
        if (sentence !== null) sentences.push(sentence);
      }
      files.segments = Number(SEGMENT_NAME.exec(names.at(-1) ?? "")?.[1] ?? -1) + 1;
      await this.#recoverOwn(
        files,
        all.filter((name) => OWN_NAME.test(name)),
      );
    }
    return sentences;
  }

  async #recoverOwn(files: RunFiles, names: readonly Sha256[]): Promise<void> {
    // A process that was killed may have moved one here without making its name durable, or that of the folder.
    if (names.length === 0) return;
    await this.#disk.syncFolder(files.folder);
    await this.#disk.syncFolder(this.#folder);
    for (const name of names) {
      const path = `${files.folder}/${name}`;
      placeOwn(files, name, path, (await this.#disk.size(path)) ?? 0);
    }
  }

  async #recoverSegment(files: RunFiles, path: string, isLast: boolean): Promise<string | null> {
    const sizeBytes = (await this.#disk.size(path)) ?? 0;
    const preamble = await this.#disk.readRange(path, 0, PREAMBLE_BYTES);
    if (preamble.length < PREAMBLE_BYTES || !startsWith(preamble, SEGMENT_MAGIC)) {
      // The preamble is synced before the first record is written.
      if (!isLast || sizeBytes > PREAMBLE_BYTES) files.fault = damaged(path, "its first bytes are not those of a segment");
      else await this.#disk.unlink(path);
      return null;
    }
    const segment: Segment = { path, salt: preamble.slice(4), sizeBytes, kept: 0 };
    const found: { readonly header: Header; readonly offset: number }[] = [];
    let offset = PREAMBLE_BYTES;
    let windowStart = offset;
    let window = new Uint8Array(0);
    while (offset < sizeBytes) {
      if (offset + HEADER_BYTES > windowStart + window.length) {
        windowStart = offset;
        window = await this.#disk.readRange(path, offset, offset + WINDOW_BYTES);
      }
      const header = decodeHeader(segment.salt, window.subarray(offset - windowStart));
      if (header === null || offset + HEADER_BYTES + header.sizeBytes > sizeBytes) break;
      found.push({ header, offset: offset + HEADER_BYTES });
      offset += HEADER_BYTES + header.sizeBytes;
    }
    let end = offset;
    if (isLast) {
      // Of the last batch also the bytes may be missing behind a header that arrived.
      const lastBatch = found.slice(found.findLastIndex(({ header }) => header.startsBatch));
      for (const { header, offset: at } of lastBatch) {
        if ((await this.#hash(await this.#disk.readRange(path, at, at + header.sizeBytes))) === header.sha256) continue;
        end = at - HEADER_BYTES;
        found.length = found.findIndex((entry) => entry.offset === at);
        break;
      }
    }
    for (const { header, offset: at } of found) place(files, header.sha256, { segment, offset: at, sizeBytes: header.sizeBytes });
    if (end < sizeBytes && (!isLast || (offset < sizeBytes && (await this.#batchBegins(segment, offset + 1))))) {
      files.fault = damaged(path, `the record at byte ${end} has a wrong header`);
      return null;
    }
    if (!isLast) return null;
    const file = await this.#disk.openAppend(path);
    if (end < sizeBytes) await file.truncate(end);
    segment.sizeBytes = end;
    await file.datasync();
    await this.#disk.syncFolder(files.folder);
    files.last = segment;
    files.file = file;
    return end === sizeBytes
      ? null
      : `The contributions of ${files.run} ended in an incomplete record (${sizeBytes - end} bytes in ${path}), as a power cut leaves it; it was dropped.`;
  }

  /** Whether a batch begins behind `from`: then what comes before was synced, so it cannot be torn. */
  async #batchBegins(segment: Segment, from: number): Promise<boolean> {
    for (let start = from; start < segment.sizeBytes; start += WINDOW_BYTES) {
      const bytes = await this.#disk.readRange(segment.path, start, start + WINDOW_BYTES + HEADER_BYTES);
      for (let at = bytes.indexOf(RECORD_MAGIC[0] ?? 0); at >= 0; at = bytes.indexOf(RECORD_MAGIC[0] ?? 0, at + 1))
        if (decodeHeader(segment.salt, bytes.subarray(at))?.startsBatch === true) return true;
    }
    return false;
  }

  /** Queues at once; a copy is kept, so the caller may reuse its bytes. */
  put(run: RunId, sha256: Sha256, bytes: Uint8Array): void {
    const files = this.#files(run);
    if (files.fault !== null) throw files.fault;
    if (files.places.has(sha256) || files.pending.has(sha256)) return;
    files.pending.set(sha256, bytes.slice());
    files.pendingBytes += bytes.length;
  }

  /** On disk when it resolves; nothing else waits for it. Rejects with a StorageFault; then the file may be gone. */
  async adopt(run: RunId, sha256: Sha256, path: string, sizeBytes: number): Promise<void> {
    const files = this.#files(run);
    if (files.fault !== null) throw files.fault;
    if (files.places.has(sha256) || files.pending.has(sha256)) return;
    const doing = `Storing a contribution of ${run}`;
    const own = `${files.folder}/${sha256}`;
    try {
      if ((await this.#disk.size(path)) !== sizeBytes) throw new StorageFault("unavailable", `${path} is no file of ${sizeBytes} bytes.`);
      await this.#makeFolder(files);
      const file = await this.#disk.openAppend(path);
      try {
        // Whatever was not written then is forgotten by the system, which would call a second sync good.
        await file.datasync().catch((error: unknown) => this.#distrust(files, path, error));
      } finally {
        await file.close();
      }
      await this.#disk.rename(path, own);
      await this.#disk.syncFolder(files.folder).catch((error: unknown) => this.#distrust(files, own, error));
    } catch (error) {
      throw files.fault ?? toFault(error, doing);
    }
    placeOwn(files, sha256, own, sizeBytes);
  }

  async #distrust(files: RunFiles, path: string, error: unknown): Promise<never> {
    this.#poison(files, error);
    await this.#disk.unlink(path).catch(() => undefined);
    throw error;
  }

  pendingBytes(): number {
    let total = 0;
    for (const files of this.#runs.values()) total += files.pendingBytes;
    return total;
  }

  async get(run: RunId, sha256: Sha256, room: Room = "own"): Promise<Uint8Array | null> {
    const files = this.#runs.get(run);
    const waiting = files?.pending.get(sha256);
    if (waiting !== undefined) return copyOf(waiting, room);
    const at = files?.places.get(sha256);
    if (at === undefined) {
      if (files !== undefined && files.fault !== null) throw files.fault;
      return null;
    }
    const { path } = at.segment;
    let bytes: Uint8Array;
    try {
      const lent = room === "shared" ? sharedBytes(at.sizeBytes) : undefined;
      bytes = await this.#disk.readRange(path, at.offset, at.offset + at.sizeBytes, lent);
    } catch (error) {
      throw toFault(error, `Reading a contribution of ${run}`);
    }
    if ((await this.#hash(bytes)) !== sha256)
      throw damaged(path, `the contribution ${sha256} at byte ${at.offset} does not match its hash`);
    return bytes;
  }

  /** Why what waits for the disk will not reach it until Weft is started again; null where it may. No record that may name it can be written. */
  faultOf(run: RunId): StorageFault | null {
    const files = this.#runs.get(run);
    return files !== undefined && files.pending.size > 0 ? files.fault : null;
  }

  take(): ContributionBatch[] {
    return [...this.#runs.values()]
      .filter(({ pending, fault }) => pending.size > 0 && fault === null)
      .map((files) => ({ files, entries: [...files.pending] }));
  }

  /** Writes and syncs. On a fault, which is thrown, everything stays queued for the next try. */
  async write({ files, entries }: ContributionBatch): Promise<void> {
    try {
      await this.#writeBatch(files, entries);
    } catch (error) {
      throw files.fault ?? toFault(error, `Writing the contributions of ${files.run}`);
    }
    for (const [sha256, bytes] of entries) {
      files.pending.delete(sha256);
      files.pendingBytes -= bytes.length;
    }
  }

  async #writeBatch(files: RunFiles, entries: ContributionBatch["entries"]): Promise<void> {
    const { segment, file } = await this.#segmentFor(files);
    const places: (readonly [Sha256, Place])[] = [];
    let end = segment.sizeBytes;
    try {
      for (const [index, [sha256, bytes]] of entries.entries()) {
        await file.append(encodeHeader(segment.salt, index === 0, sha256, bytes.length));
        if (bytes.length > 0) await file.append(bytes);
        places.push([sha256, { segment, offset: end + HEADER_BYTES, sizeBytes: bytes.length }]);
        end += HEADER_BYTES + bytes.length;
      }
    } catch (error) {
      await file.truncate(segment.sizeBytes).catch((second: unknown) => this.#poison(files, second));
      throw error;
    }
    try {
      await file.datasync();
    } catch (error) {
      this.#poison(files, error);
      throw error;
    }
    segment.sizeBytes = end;
    for (const [sha256, at] of places) place(files, sha256, at);
  }

  #poison(files: RunFiles, error: unknown): void {
    const { code, message } = toFault(error, `Writing the contributions of ${files.run}`);
    files.fault = new StorageFault(code, `${message} What is on disk is unknown until Weft is started again.`);
  }

  async #makeFolder(files: RunFiles): Promise<void> {
    if (files.made) return;
    await this.#disk.makeFolder(files.folder);
    await this.#disk.syncFolder(this.#folder);
    files.made = true;
  }

  async #segmentFor(files: RunFiles): Promise<{ readonly segment: Segment; readonly file: DiskFile }> {
    if (files.last !== null && files.file !== null && files.last.sizeBytes < this.#segmentBytes)
      return { segment: files.last, file: files.file };
    await this.#makeFolder(files);
    const path = `${files.folder}/${String(files.segments).padStart(8, "0")}.seg`;
    const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
    const file = await this.#disk.openAppend(path);
    try {
      // A segment that an earlier try could not finish begins anew.
      await file.truncate(0);
      await file.append(withSalt(Uint8Array.from(SEGMENT_MAGIC), salt));
      await file.datasync();
      await this.#disk.syncFolder(files.folder);
    } catch (error) {
      await file.close();
      throw error;
    }
    await files.file?.close();
    files.file = file;
    files.segments++;
    files.last = { path, salt, sizeBytes: PREAMBLE_BYTES, kept: 0 };
    return { segment: files.last, file };
  }

  /** What still waits for the disk is kept: it was put after the one that is dropped, or it is dropped again after a restart. */
  async drop(run: RunId, sha256s: readonly Sha256[]): Promise<void> {
    const files = this.#runs.get(run);
    if (files === undefined) return;
    const emptied = new Set<Segment>();
    for (const sha256 of sha256s) {
      const at = files.places.get(sha256);
      if (at === undefined) continue;
      files.places.delete(sha256);
      at.segment.kept -= 1;
      emptied.add(at.segment);
    }
    try {
      // Not synced: a segment that a power cut brings back is dropped again.
      for (const segment of emptied) if (segment.kept === 0 && segment !== files.last) await this.#disk.unlink(segment.path);
    } catch (error) {
      throw toFault(error, `Giving back the room of contributions of ${run}`);
    }
  }

  async close(): Promise<void> {
    for (const { file } of this.#runs.values()) await file?.close();
  }
}

/** A name that was dropped and put again may lie in two segments; the newer one counts. */
function place(files: RunFiles, sha256: Sha256, at: Place): void {
  const before = files.places.get(sha256);
  if (before !== undefined) before.segment.kept -= 1;
  files.places.set(sha256, at);
  at.segment.kept += 1;
}

function placeOwn(files: RunFiles, sha256: Sha256, path: string, sizeBytes: number): void {
  place(files, sha256, { segment: { path, salt: NO_SALT, sizeBytes, kept: 0 }, offset: 0, sizeBytes });
}

const damaged = (path: string, what: string): StorageFault =>
  new StorageFault("damaged", `${path}: ${what}. The file was changed or the disk is failing; nothing was repaired.`);
