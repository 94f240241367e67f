// A whole coordinator in this process: memory storage, virtual clock, seeded key, evaluation that costs nothing. For tests of everything
// that stands on a coordinator; nothing of the coordinator itself is replaced.
import {
  type Compute,
  Coordinator,
  type CoordinatorLimits,
  type DatasetLookup,
  LocalCompute,
  type LocalComputeOptions,
  MemorySpool,
} from "@weft/coordinator";
import { createIdentity, type Identity, sha256, verifySignature } from "@weft/ledger";
import { type DatasetManifest, f32ToHex, type LedgerRecord, type RunSpec, readsText } from "@weft/protocol";
import { memoryStorage, type Storage } from "@weft/storage";
import { norm } from "@weft/tensors";
import { datasetsOf, TINY_SPEC } from "./fixtures.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestCoordinatorOptions {
  readonly storage?: Storage;
  readonly clock?: VirtualClock;
  readonly seed?: number;
  readonly limits?: Partial<CoordinatorLimits>;
  readonly origins?: (origin: string) => boolean;
  readonly datasets?: readonly DatasetManifest[];
  /** In the place of `datasets`: data sets with their shards. */
  readonly datasetLookup?: DatasetLookup;
  readonly evaluate?: LocalComputeOptions["evaluate"];
  readonly log?: (line: string) => void;
  /** Wraps the computing, to make it fail or wait. */
  readonly compute?: (inner: Compute) => Compute;
}

/** 32 bytes named by a number: the same identity in every process. */
export const seededIdentity = (seed: number, purpose = "volunteer"): Identity => {
  const bytes = new Uint8Array(32);
  const name = sha256(new TextEncoder().encode(`${purpose} ${seed}`));
  for (let at = 0; at < 32; at += 1) bytes[at] = Number.parseInt(name.slice(2 * at, 2 * at + 2), 16);
  return createIdentity(bytes);
};

export const TEST_ORIGIN = "http://localhost:8787";

export class TestCoordinator {
  readonly clock: VirtualClock;
  readonly storage: Storage;
  readonly identity: Identity;
  readonly spool = new MemorySpool();
  readonly lines: string[] = [];
  readonly #options: TestCoordinatorOptions;
  #current: Coordinator | null = null;
  #nonces = 0;

  private constructor(options: TestCoordinatorOptions) {
    this.#options = options;
    this.clock = options.clock ?? new VirtualClock();
    this.storage = options.storage ?? memoryStorage();
    this.identity = seededIdentity(options.seed ?? 1, "coordinator");
  }

  static async start(options: TestCoordinatorOptions = {}): Promise<TestCoordinator> {
    const test = new TestCoordinator(options);
    test.clock.settle = () => test.#current?.idle() ?? Promise.resolve();
    await test.open();
    return test;
  }

  /** Opens a coordinator over the same storage; after `abandon` it is as after a crash. */
  async open(): Promise<Coordinator> {
    const { limits, origins, datasets } = this.#options;
    const inner = new LocalCompute({
      storage: this.storage,
      spool: this.spool,
      evaluate: this.#options.evaluate ?? cheapEvaluation,
    });
    this.#current = await Coordinator.open({
      storage: this.storage,
      compute: this.#options.compute?.(inner) ?? inner,
      key: this.identity,
      verify: (publicKey, domain, value, signature) => Promise.resolve(verifySignature(publicKey, domain, value, signature)),
      clock: this.clock,
      datasets: this.#options.datasetLookup ?? datasetsOf(this.storage, datasets),
      code: "test",
      spool: this.spool,
      random: () => {
        this.#nonces += 1;
        return this.#nonces.toString(16).padStart(32, "0");
      },
      log: (line) => {
        this.lines.push(line);
        this.#options.log?.(line);
      },
      ...(limits === undefined ? {} : { limits }),
      ...(origins === undefined ? {} : { origins }),
    });
    await this.#current.idle();
    return this.#current;
  }

  get coordinator(): Coordinator {
    if (this.#current === null) throw new Error("no coordinator is open");
    return this.#current;
  }
  /** For transports: null while nobody listens. */
  readonly listening = (): Coordinator | null => this.#current;

  /** Forgets the coordinator as a killed process would: nothing is closed, finished or flushed. */
  abandon(): void {
    this.#current = null;
  }

  async createRun(spec: RunSpec = TINY_SPEC): Promise<string> {
    const created = await this.coordinator.createRun(spec, "test");
    if (!created.ok) throw new Error(`${created.code}: ${created.message}`);
    await this.coordinator.idle();
    return created.value.run;
  }

  /** Lets time pass in steps of the application's half second, with a tick after each. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      await this.clock.advance(Math.min(500, left));
      await this.#current?.tick();
      await this.clock.drain();
    }
  }

  async records(run: string): Promise<LedgerRecord[]> {
    const records: LedgerRecord[] = [];
    for await (const record of this.storage.ledger.read(run)) records.push(record);
    return records;
  }
}

/** Not a real loss: the norm of the weights, which differs between versions and costs nothing. */
const cheapEvaluation: LocalComputeOptions["evaluate"] = (spec, _manifest, weights) =>
  Promise.resolve({
    lossMean: f32ToHex(norm(weights)),
    accuracy: readsText(spec.model) ? null : f32ToHex(0.5),
    samples: spec.evaluation.samples,
  });
