// Storage in files on an injected disk: ledger and contribution segments under one group commit, blobs by hash, one owner at a time.
// Knows the order of writes; the formats stand in ledger-lines.ts, contribution-files.ts and blob-files.ts.
import { RunId } from "@weft/protocol";
import { BlobFiles } from "./blob-files.ts";
import { type HashBytes, sha256 } from "./checksum.ts";
import { ContributionFiles } from "./contribution-files.ts";
import { type Disk, DiskError, type DiskLock, parentOf } from "./disk.ts";
import { toFault } from "./faults.ts";
import { type Storage, StorageFault } from "./interfaces.ts";
import { LedgerFiles } from "./ledger-files.ts";

/** Calls `work` once after `ms`, unless the function it gives back is called before. Real time by default; tests inject theirs. */
export type Schedule = (ms: number, work: () => void) => () => void;

export interface FileStorageOptions {
  /** Buffered records and contributions are on disk at the latest after this. */
  readonly flushMs?: number;
  readonly ledgerSegmentBytes?: number;
  readonly contributionSegmentBytes?: number;
  /** Contributions waiting for the disk; above it, `put` waits. */
  readonly maxPendingBytes?: number;
  readonly schedule?: Schedule;
  /** WebCrypto's where none is given, which answers from another thread, when it likes. */
  readonly hash?: HashBytes;
}

const FORMAT = "weft-storage/1";
const isRunId = (name: string): boolean => RunId.safeParse(name).success;
const realSchedule: Schedule = (ms, work) => {
  const timer = setTimeout(work, ms);
  return () => clearTimeout(timer);
};

/**
 * Opens or creates the storage in `folder`. Rejects with a StorageFault whose message is a sentence for people: `unavailable` for a folder
 * that cannot be written or that another process holds, `disk-full`, `damaged` for a format that this version does not know.
 */
export const openFileStorage = async (disk: Disk, folder: string, options: FileStorageOptions = {}): Promise<Storage> => {
  const lock = await takeFolder(disk, folder);
  try {
    return await FileStorage.open(disk, folder, lock, options);
  } catch (error) {
    await lock.release().catch(() => undefined);
    throw toFault(error, `Opening the data folder ${folder}`);
  }
};

const takeFolder = async (disk: Disk, folder: string): Promise<DiskLock> => {
  try {
    await makeDurableFolder(disk, folder);
  } catch (error) {
    if (error instanceof DiskError && error.kind === "exists")
      throw new StorageFault("unavailable", `The data folder ${folder} cannot be used: there is a file of that name. Name another folder.`);
    throw toFault(error, `Using the data folder ${folder}`);
  }
  try {
    return await disk.lock(`${folder}/lock`);
  } catch (error) {
    if (error instanceof DiskError && error.kind === "exists")
      throw new StorageFault(
        "unavailable",
        `The data folder ${folder} is in use by another Weft process (${error.message}). Stop it first.`,
      );
    throw toFault(error, `Using the data folder ${folder}`);
  }
};

/** All folders above are synced at each opening: a process that was killed may have made them without. */
const makeDurableFolder = async (disk: Disk, folder: string): Promise<void> => {
  await disk.makeFolder(folder);
  for (let path = folder; path !== parentOf(path); path = parentOf(path)) {
    try {
      await disk.syncFolder(parentOf(path));
    } catch (error) {
      // A folder above that we may not read is not one that we made.
      if (!(error instanceof DiskError && error.kind === "denied")) throw error;
    }
  }
};

/** Written once, so that a later Weft with another format is not read as this one. */
const checkFormat = async (disk: Disk, folder: string): Promise<void> => {
  const path = `${folder}/format`;
  if ((await disk.size(path)) === null) {
    const draft = `${path}.draft`;
    await disk.unlink(draft);
    const file = await disk.openAppend(draft);
    await file.append(new TextEncoder().encode(`${FORMAT}\n`));
    await file.datasync();
    await file.close();
    await disk.rename(draft, path);
    return;
  }
  const found = new TextDecoder().decode(await disk.readRange(path, 0, 100)).trim();
  if (found !== FORMAT)
    throw new StorageFault("damaged", `The data folder ${folder} has the format "${found}"; this Weft reads ${FORMAT}.`);
};

class FileStorage implements Storage {
  readonly blobs: BlobFiles;
  readonly ledger: Storage["ledger"];
  readonly contributions: Storage["contributions"];
  readonly recovered: readonly string[];
  readonly #ledgers: LedgerFiles;
  readonly #contributions: ContributionFiles;
  readonly #lock: DiskLock;
  readonly #flushMs: number;
  readonly #schedule: Schedule;
  #cancelFlush: (() => void) | null = null;
  #commit: Promise<void> | null = null;
  /** Ends when the last reader in the queue has had its look at the disk. */
  #looks: Promise<unknown> = Promise.resolve();
  #again = false;
  #closed = false;

  static async open(disk: Disk, folder: string, lock: DiskLock, options: FileStorageOptions): Promise<FileStorage> {
    await checkFormat(disk, folder);
    for (const name of ["ledger", "contributions", "blobs"]) await disk.makeFolder(`${folder}/${name}`);
    // Together with the format's entry: nothing is stored before.
    await disk.syncFolder(folder);
    const ledgers = new LedgerFiles(disk, `${folder}/ledger`, options.ledgerSegmentBytes ?? 8 * 1024 ** 2);
    const hash = options.hash ?? sha256;
    const contributions = new ContributionFiles(disk, `${folder}/contributions`, options.contributionSegmentBytes ?? 256 * 1024 ** 2, hash);
    const blobs = new BlobFiles(disk, `${folder}/blobs`, hash);
    const recovered = lock.note === null ? [] : [lock.note];
    recovered.push(...(await contributions.recover(isRunId)), ...(await ledgers.recover(isRunId)));
    await blobs.recover();
    return new FileStorage(ledgers, contributions, blobs, recovered, lock, options);
  }

  private constructor(
    ledgers: LedgerFiles,
    contributions: ContributionFiles,
    blobs: BlobFiles,
    recovered: readonly string[],
    lock: DiskLock,
    options: FileStorageOptions,
  ) {
    this.#ledgers = ledgers;
    this.#contributions = contributions;
    this.blobs = blobs;
    this.recovered = recovered;
    this.#lock = lock;
    this.#flushMs = options.flushMs ?? 1_000;
    this.#schedule = options.schedule ?? realSchedule;
    const maxPendingBytes = options.maxPendingBytes ?? 64 * 1024 ** 2;
    this.ledger = {
      runs: async () => ledgers.runs(),
      append: (run, records, durability) => {
        if (this.#closed) return Promise.reject(closedFault());
        const done = ledgers.append(run, records, durability);
        if (durability === "durable") this.#soon();
        else this.#later();
        return done;
      },
      read: (run, fromSeq = 0) => ledgers.read(run, fromSeq, (look) => this.#inTurn(look)),
    };
    this.contributions = {
      // Queued before the first await: a ledger append that is called next finds it in the queue.
      put: async (run, sha256, bytes) => {
        if (this.#closed) throw closedFault();
        contributions.put(run, sha256, bytes);
        this.#later();
        if (contributions.pendingBytes() <= maxPendingBytes) return;
        this.#soon();
        await this.#commit;
        if (contributions.pendingBytes() > maxPendingBytes) this.#soon();
      },
      adopt: (run, sha256, path, sizeBytes) =>
        this.#closed ? Promise.reject(closedFault()) : contributions.adopt(run, sha256, path, sizeBytes),
      get: (run, sha256, room) => contributions.get(run, sha256, room),
      drop: (run, sha256s) => (this.#closed ? Promise.reject(closedFault()) : contributions.drop(run, sha256s)),
    };
  }

  /**
   * Readers look at the disk one after another, a piece each, and let a commit that is under way end first: however many read, an
   * acknowledgement waits for about one piece. A look waits for one commit at most, so appends without a pause do not shut readers out.
   */
  #inTurn<T>(look: () => Promise<T>): Promise<T> {
    const done = this.#looks.then(async () => {
      await this.#commit;
      return look();
    });
    this.#looks = done.catch(() => undefined);
    return done;
  }

  /** Whoever comes while a commit runs waits for the next one, which begins at once when this one ends: no timer delays an acknowledgement. */
  #soon(): void {
    if (this.#commit !== null) {
      this.#again = true;
      return;
    }
    this.#cancelFlush?.();
    this.#cancelFlush = null;
    // One turn later, so that appends made in the same turn share the sync.
    this.#commit = Promise.resolve()
      .then(() => this.#commitOnce())
      .finally(() => {
        this.#commit = null;
        if (this.#again) {
          this.#again = false;
          this.#soon();
        } else if (!this.#closed && (this.#ledgers.waits() || this.#contributions.pendingBytes() > 0)) this.#later();
      });
  }
  #later(): void {
    if (this.#cancelFlush !== null || this.#commit !== null) {
      this.#again ||= this.#commit !== null;
      return;
    }
    this.#cancelFlush = this.#schedule(this.#flushMs, () => {
      this.#cancelFlush = null;
      this.#soon();
    });
  }

  async #commitOnce(): Promise<void> {
    // Both queues in one turn: a record that comes while contributions are being written waits, for what it names may have come with it.
    const batches = this.#ledgers.take();
    const results = await Promise.allSettled(this.#contributions.take().map((batch) => this.#contributions.write(batch)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      for (const batch of batches) this.#ledgers.refuse(batch, toFault(failed.reason, "Writing contributions"));
      return;
    }
    const write = async (batch: (typeof batches)[number]): Promise<void> => {
      // One that could not be written in an earlier commit, and is not tried again, counts as much as one that failed in this.
      const fault = this.#contributions.faultOf(batch.ledger.run);
      if (fault === null) await this.#ledgers.write(batch);
      else this.#ledgers.refuse(batch, fault);
    };
    await Promise.all(batches.map(write));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelFlush?.();
    while (this.#commit !== null) await this.#commit;
    await this.#commitOnce();
    const waiting = this.#contributions.pendingBytes();
    await this.#contributions.close();
    const fault = await this.#ledgers.close();
    await this.#lock.release();
    if (fault !== null) throw fault;
    if (waiting > 0) throw new StorageFault("unavailable", `${waiting} bytes of contributions could not be written.`);
  }
}

const closedFault = (): StorageFault => new StorageFault("unavailable", "The storage is closed.");
