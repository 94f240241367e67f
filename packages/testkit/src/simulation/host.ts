// The coordinator's machine: a disk, a clock on the wall, and one process of the real coordinator at a time, which can be killed between any
// two changes of the disk, lose its power, be stopped in order, stand still, and is started again. Knows no volunteer.
import { createHash } from "node:crypto";
import { type Compute, Coordinator, type CoordinatorLimits, diskSpool, LocalCompute, type UploadSpool } from "@weft/coordinator";
import { CHUNK_BYTES, f32ToHex, readsText } from "@weft/protocol";
import { type Disk, MemoryDisk, openFileStorage, type PowerCut, type Storage, StorageFault } from "@weft/storage";
import { norm } from "@weft/tensors";
import { datasetsOf } from "../fixtures.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import type { Dice } from "./dice.ts";
import type { Tampering } from "./mutations.ts";
import { type DiskAction, ProcessDisk } from "./process-disk.ts";
import { stubIdentity, stubVerify } from "./stub-identity.ts";

export type Ending = "killed" | "power-cut";

/** What watches the coordinator; see witness.ts. */
export interface HostWatch {
  /** Sees all that is appended, made durable and read. */
  storage(inner: Storage): Storage;
  /** Sees all that is said and answered. */
  coordinator(inner: Pick<Coordinator, "connect" | "inside">): Pick<Coordinator, "connect">;
  /** Its process is gone; `isClean`: everything was stored and closed before. */
  ended(isClean: boolean): void;
  /** What no fault excuses. */
  broken(sentence: string): void;
}

interface Process {
  alive: boolean;
  readonly disk: ProcessDisk;
  storage: Storage | null;
  coordinator: Coordinator | null;
  connect: Pick<Coordinator, "connect">["connect"] | null;
  /** A stop in order is under way: nobody is let in any more. */
  closing: boolean;
  readonly onEnd: Set<(ending: Ending) => void>;
}

export const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const FOLDER = "weft";
const SPOOL = "spool";
const TICK_MS = 500;
const CLEAN_STOP_MS = 8_000;

export class Host {
  readonly clock: VirtualClock;
  readonly disk = new MemoryDisk();
  readonly lines: string[] = [];
  readonly #name: string;
  readonly #dice: Dice;
  readonly #watch: HostWatch;
  readonly #tampering: Tampering;
  readonly #limits: Partial<CoordinatorLimits>;
  readonly #keepsLines: boolean;
  #process: Process | null = null;
  #wallMs = 0;
  #nonces = 0;
  #crash: { places: number; readonly ending: Ending } | null = null;
  #crashAtHalf: Ending | null = null;
  #stalledUntilMs = 0;
  /** What the machine does wrong just now. */
  diskDelayMs: (action: DiskAction) => number = () => 0;
  diskFault: "full" | "read-only" | "sync-once" | null = null;
  ends = 0;

  constructor(options: {
    /** Two machines have two keys. */
    readonly name: string;
    readonly clock: VirtualClock;
    readonly dice: Dice;
    readonly watch: HostWatch;
    readonly tampering?: Tampering;
    readonly limits?: Partial<CoordinatorLimits>;
    readonly keepsLines?: boolean;
  }) {
    this.#name = options.name;
    this.clock = options.clock;
    this.#dice = options.dice;
    this.#watch = options.watch;
    this.#tampering = options.tampering ?? {};
    this.#limits = options.limits ?? {};
    this.#keepsLines = options.keepsLines ?? false;
  }

  /** Null while it is down, starting, or on its way down. */
  get coordinator(): Coordinator | null {
    return this.#process?.coordinator ?? null;
  }
  /** For a new connection: null where nobody listens. */
  get listener(): { connect: Pick<Coordinator, "connect">["connect"]; onEnd: Set<(ending: Ending) => void> } | null {
    const process = this.#process;
    return process?.connect == null || process.closing ? null : { connect: process.connect, onEnd: process.onEnd };
  }
  get storage(): Storage | null {
    return this.#process?.storage ?? null;
  }
  get isUp(): boolean {
    return this.#process !== null;
  }

  /** As over HTTP; null where there is no such blob. Rejects while nobody listens. */
  async blob(sha256: string): Promise<Uint8Array | null> {
    const storage = this.#process?.connect == null ? null : this.#process.storage;
    if (storage == null) throw new Error("the coordinator does not listen");
    return storage.blobs.get(sha256);
  }

  stepWall(ms: number): void {
    this.#wallMs += ms;
  }
  /** Its event loop stands still: what arrives is taken afterwards. */
  stall(ms: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.clock.monotonicMs() + ms);
  }
  /** How long what arrives now has to wait. */
  get stalledMs(): number {
    return Math.max(0, this.#stalledUntilMs - this.clock.monotonicMs());
  }
  /** The process ends after so many places between changes of the disk. */
  crashAfter(places: number, ending: Ending): void {
    this.#crash = { places, ending };
  }
  /** The same as soon as half of an upload of two chunks has come. */
  crashAtHalf(ending: Ending): void {
    this.#crashAtHalf = ending;
  }
  disarm(): void {
    this.#crash = null;
    this.#crashAtHalf = null;
  }

  start(): void {
    if (this.#process !== null) return;
    const disk = new ProcessDisk(this.disk, {
      delayMs: (action) => this.diskDelayMs(action),
      sleep: (ms) => this.clock.sleep(ms),
      fault: (action) => this.#faultOf(action),
      between: () => {
        if (this.#process !== process || this.#crash === null) return;
        this.#crash.places -= 1;
        if (this.#crash.places <= 0) this.end(this.#crash.ending);
      },
    });
    const process: Process = { alive: true, disk, storage: null, coordinator: null, connect: null, closing: false, onEnd: new Set() };
    this.#process = process;
    this.#open(process).catch((error: unknown) => {
      if (!process.alive) return;
      // It says why it cannot start, and whoever runs it tries again.
      if (!(error instanceof StorageFault) || error.code === "damaged")
        this.#watch.broken(
          `the coordinator could not be started: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
      this.end("killed", 2_000);
    });
  }

  async #open(process: Process): Promise<void> {
    const files = await this.#files(process.disk, () => process.alive);
    for (const sentence of files.recovered) this.#log(sentence);
    const { storage: underneath, ledger, compute, coordinator: outside } = this.#tampering;
    const watched = this.#watch.storage(underneath?.(files) ?? files);
    const storage: Storage = ledger === undefined ? watched : { ...watched, ledger: ledger(watched.ledger) };
    process.storage = watched;
    const spool = this.#spool(process);
    const local = new LocalCompute({
      storage,
      spool,
      newHasher: () => {
        const hash = createHash("sha256");
        return { update: (bytes) => hash.update(bytes), digest: () => hash.digest("hex") };
      },
      evaluate: (spec, _manifest, weights) =>
        Promise.resolve({ lossMean: f32ToHex(norm(weights)), accuracy: readsText(spec.model) ? null : f32ToHex(0.5), samples: 10 }),
    });
    const coordinator = await Coordinator.open({
      storage,
      compute: this.#slow(compute?.(local) ?? local, storage),
      key: stubIdentity(this.#name),
      verify: stubVerify,
      clock: { now: () => this.clock.monotonicMs() + this.#wallMs, monotonicMs: () => this.clock.monotonicMs() },
      datasets: datasetsOf(storage),
      code: "simulation",
      spool,
      limits: this.#limits,
      random: () => {
        this.#nonces += 1;
        return this.#nonces.toString(16).padStart(32, "0");
      },
      log: (line) => this.#log(line),
    });
    if (!process.alive) return;
    process.coordinator = coordinator;
    const { connect } = this.#watch.coordinator(outside?.(coordinator) ?? coordinator);
    process.connect = connect;
    this.#tickLater(process, coordinator);
  }

  #files(disk: Disk, isAlive: () => boolean): Promise<Storage> {
    return openFileStorage(disk, FOLDER, {
      hash: (bytes) => Promise.resolve(hashOf(bytes)),
      schedule: (ms, work) =>
        this.clock.after(ms, () => {
          if (isAlive()) work();
        }),
      ledgerSegmentBytes: 64 * 1024,
      contributionSegmentBytes: 16 * 1024,
    });
  }

  /** Before its first start: what lies on its disk. */
  async fill(put: (storage: Storage) => Promise<void>): Promise<void> {
    const files = await this.#files(this.disk, () => true);
    await put(files);
    await files.close();
  }

  #spool(process: Process): UploadSpool {
    const inner = diskSpool(process.disk, `${FOLDER}/${SPOOL}`);
    return {
      ...inner,
      append: async (name, bytes) => {
        await inner.append(name, bytes);
        const ending = this.#crashAtHalf;
        if (ending === null || bytes.length < CHUNK_BYTES) return;
        this.#crashAtHalf = null;
        this.clock.after(this.#dice.scale(1, 300), () => {
          if (process.alive) this.end(ending);
        });
      },
    };
  }
  /** Files of uploads that are left. */
  spooled(): Promise<readonly string[]> {
    return this.disk.list(`${FOLDER}/${SPOOL}`);
  }

  /** Closing, evaluating and packing take a while, in which anything may happen. */
  #slow(inner: Compute, storage: Storage): Compute {
    const wait = (mostMs: number): Promise<void> =>
      this.clock.sleep(this.#dice.chance(0.1) ? this.#dice.scale(10, 10 * mostMs) : mostMs / 10);
    return {
      initialWeights: (model, seed) => inner.initialWeights(model, seed),
      takeIn: (upload) => inner.takeIn(upload),
      closeRound: async (...args) => {
        await wait(50);
        return inner.closeRound(...args);
      },
      evaluate: async (...args) => {
        await wait(100);
        return inner.evaluate(...args);
      },
      checkpoint: async (...args) => {
        await wait(100);
        // What stands in an archive is tested where it is written; here it only has to be stored.
        const [{ run, point }] = args;
        return storage.blobs.put(new TextEncoder().encode(`${run} ${point.version} ${point.weights.sha256}`));
      },
    };
  }

  #tickLater(process: Process, coordinator: Coordinator): void {
    this.clock.after(TICK_MS, () => {
      if (!process.alive) return;
      if (this.stalledMs === 0)
        coordinator
          .tick()
          .catch((error: unknown) => this.#watch.broken(`a tick failed: ${error instanceof Error ? error.stack : String(error)}`));
      this.#tickLater(process, coordinator);
    });
  }

  /** The process ends here and now, and is started again after `downMs`. */
  end(ending: Ending, downMs = this.#dice.scale(50, 15_000)): void {
    const process = this.#process;
    if (process === null) return;
    this.#bury(process, ending, false);
    const cut: PowerCut = ending === "killed" ? "killed" : this.#dice.pick(["lost", "torn", "mixed"]);
    const seed = this.#dice.whole(0, 1_000_000);
    this.clock.after(downMs, () => {
      this.disk.powerOn(cut, seed);
      this.start();
    });
  }

  /** As on SIGTERM: finishes what is arriving, closes the storage, and is started again after `downMs`. */
  async stopInOrder(downMs: number): Promise<void> {
    const process = this.#process;
    if (process === null || process.coordinator === null || process.storage === null || process.closing) return;
    process.closing = true;
    await Promise.race([process.coordinator.close(), this.clock.sleep(CLEAN_STOP_MS)]);
    let isClean = true;
    await process.storage.close().catch((error: unknown) => {
      isClean = false;
      if (!(error instanceof StorageFault)) this.#watch.broken(`closing the storage failed: ${String(error)}`);
    });
    if (!process.alive) return;
    this.#bury(process, "killed", isClean);
    this.clock.after(downMs, () => {
      this.disk.powerOn("killed");
      this.start();
    });
  }

  #bury(process: Process, ending: Ending, isClean: boolean): void {
    process.alive = false;
    process.disk.die();
    this.#process = null;
    this.#crash = null;
    this.#stalledUntilMs = 0;
    this.ends += 1;
    this.#log(isClean ? "--- stopped in order" : `--- ${ending}`);
    this.#watch.ended(isClean);
    for (const tell of [...process.onEnd]) tell(ending);
  }

  #faultOf(action: DiskAction): { readonly kind: "full" | "denied" | "broken"; readonly message: string } | null {
    if (this.diskFault === null || action === "read") return null;
    if (this.diskFault === "sync-once") {
      if (action !== "sync") return null;
      this.diskFault = null;
      return { kind: "broken", message: "input/output error, made by the simulation" };
    }
    if (action === "sync" || (action === "free" && this.diskFault === "full")) return null;
    return this.diskFault === "full"
      ? { kind: "full", message: "no space left, made by the simulation" }
      : { kind: "denied", message: "read-only, made by the simulation" };
  }

  #log(line: string): void {
    if (this.#keepsLines) this.lines.push(`${String(this.clock.monotonicMs()).slice(-8)} ${line}`);
  }
}
