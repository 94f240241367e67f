// The disk as one process sees it: as slow as its machine makes it, failing where it is told to, and out of reach once the process is
// dead. A dead process does nothing more: what it asked for is never answered.
import { type Disk, DiskError, type DiskErrorKind, type DiskFile, type DiskLock } from "@weft/storage";

/** `free`: a change that a full disk allows. */
export type DiskAction = "read" | "write" | "free" | "sync";

export interface DiskConditions {
  /** How long the operation takes; 0: it is done at once. */
  delayMs(action: DiskAction): number;
  sleep(ms: number): Promise<void>;
  /** Why it fails; null where it does not. */
  fault(action: DiskAction): { readonly kind: DiskErrorKind; readonly message: string } | null;
  /** A place between two instructions, just before or just after something was changed: the process may die here. */
  between(): void;
}

const never = new Promise<never>(() => undefined);

export class ProcessDisk implements Disk {
  readonly #inner: Disk;
  readonly #conditions: DiskConditions;
  #alive = true;

  constructor(inner: Disk, conditions: DiskConditions) {
    this.#inner = inner;
    this.#conditions = conditions;
  }

  die(): void {
    this.#alive = false;
  }

  async #do<T>(action: DiskAction, work: () => Promise<T>): Promise<T> {
    if (!this.#alive) return never;
    const { delayMs, sleep, fault, between } = this.#conditions;
    const waitMs = delayMs(action);
    if (waitMs > 0) await sleep(waitMs);
    if (this.#alive && action !== "read") between();
    if (!this.#alive) return never;
    const failure = fault(action);
    if (failure !== null) throw new DiskError(failure.kind, failure.message);
    const done = work();
    if (action !== "read") between();
    if (!this.#alive) {
      done.catch(() => undefined);
      return never;
    }
    return done;
  }

  makeFolder(path: string): Promise<void> {
    return this.#do("write", () => this.#inner.makeFolder(path));
  }
  async openAppend(path: string): Promise<DiskFile> {
    const file = await this.#do("write", () => this.#inner.openAppend(path));
    return {
      append: (bytes) => this.#do("write", () => file.append(bytes)),
      datasync: () => this.#do("sync", () => file.datasync()),
      truncate: (sizeBytes) => this.#do("free", () => file.truncate(sizeBytes)),
      close: () => this.#do("read", () => file.close()),
    };
  }
  size(path: string): Promise<number | null> {
    return this.#do("read", () => this.#inner.size(path));
  }
  readRange(path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#do("read", () => this.#inner.readRange(path, start, end));
  }
  list(folder: string): Promise<readonly string[]> {
    return this.#do("read", () => this.#inner.list(folder));
  }
  rename(from: string, to: string): Promise<void> {
    return this.#do("write", () => this.#inner.rename(from, to));
  }
  unlink(path: string): Promise<void> {
    return this.#do("free", () => this.#inner.unlink(path));
  }
  syncFolder(path: string): Promise<void> {
    return this.#do("sync", () => this.#inner.syncFolder(path));
  }
  lock(path: string): Promise<DiskLock> {
    return this.#do("write", () => this.#inner.lock(path));
  }
}
