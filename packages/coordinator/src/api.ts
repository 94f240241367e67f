// What the coordinator core is built from and what it offers: the types that the application's sockets, HTTP routes and the test kit stand on.
// Knows no transport; coordinator.ts implements it.
import type { LedgerHead } from "@weft/ledger";
import type {
  AdminReply,
  BlobRef,
  Challenge,
  DatasetManifest,
  LedgerRecord,
  Result,
  RevokeNotice,
  RunDetail,
  RunId,
  RunSpec,
  RunSummary,
  WorkNotice,
} from "@weft/protocol";
import type { Storage } from "@weft/storage";
import type { ReadonlyRun } from "@weft/training";
import type { Compute, CoordinatorClock, CoordinatorKey, VerifySignature } from "./ports.ts";
import type { UploadSpool } from "./upload-spool.ts";

/** Data sets that exist here, with their manifests stored as blobs (canonical JSON). */
export interface DatasetLookup {
  manifest(id: string): Promise<{ readonly manifest: DatasetManifest; readonly blob: BlobRef } | null>;
  /**
   * Samples of each client to whom the data set is dealt out; refuses (`bad-spec`) where it cannot be dealt out so. Absent where nobody here
   * can look into data sets.
   */
  clients?(manifest: DatasetManifest, spec: RunSpec): Promise<Result<readonly number[]>>;
}

export interface CoordinatorLimits {
  readonly sessionsPerAddress: number;
  /** Long-run messages a second of one session; a burst of `messageBurst` is let through. */
  readonly messagesPerSecond: number;
  readonly messageBurst: number;
  /** Bytes of all unfinished uploads together. */
  readonly spoolBytes: number;
  /** Uploads that may send at once, in all and from one address. */
  readonly receivingUploads: number;
  readonly receivingPerAddress: number;
  /** How long the assignments of a lost connection are kept for its return. */
  readonly reconnectGraceMs: number;
  /** A session that has not said hello after this long is closed. */
  readonly helloMs: number;
  /** Runs that may be neither stopped nor finished at once. */
  readonly activeRuns: number;
}

export interface CoordinatorOptions {
  readonly storage: Storage;
  readonly compute: Compute;
  readonly key: CoordinatorKey;
  readonly verify: VerifySignature;
  readonly clock: CoordinatorClock;
  readonly datasets: DatasetLookup;
  /** Revision of the code, as it stands in `run-created`. */
  readonly code: string;
  readonly spool: UploadSpool;
  readonly limits?: Partial<CoordinatorLimits>;
  /** Which origins a hello may name; absent: any. */
  readonly origins?: (origin: string) => boolean;
  /** A fresh nonce, 32 hexadecimal digits. */
  readonly random: () => string;
  readonly log?: (line: string) => void;
}

/** The connection as the core sees it. `send` must not throw; `close` ends the connection and is followed by `disconnected`. */
export interface VolunteerPort {
  /** For caps per address; never stored. */
  readonly address: string;
  /** Origin header of the handshake where the transport has one: then a hello must name the same. */
  readonly origin?: string | null;
  send(event: "challenge", message: Challenge): void;
  send(event: "work", message: WorkNotice): void;
  send(event: "revoke", message: RevokeNotice): void;
  close(): void;
}

export interface VolunteerSession {
  /** Parses, bounds and answers one message; never throws. Binary messages (`chunk`) arrive as Uint8Array of any alignment. */
  handle(event: string, message: unknown): Promise<Result<unknown>>;
  /** `silentMs`: for how long nothing had come when the connection was given up; that much less its leases are kept for its return. */
  disconnected(silentMs?: number): void;
}

/** What the coordinator holds in memory, beside what pages show. */
export interface Inside {
  /** `state` is null while the ledger is being opened; `queuedInputs` are decided and not yet stored. */
  readonly runs: readonly {
    readonly run: RunId;
    readonly state: ReadonlyRun | null;
    readonly head: LedgerHead;
    readonly queuedInputs: number;
  }[];
  /** All of them, and those that have said hello. */
  readonly connections: number;
  readonly volunteers: number;
  /** Uploads that are neither decided on nor given up, and verdicts kept for who asks again. */
  readonly uploads: number;
  readonly verdicts: number;
}

/** Everything transports, pages and tests may ask of a coordinator. The class in coordinator.ts implements it; `Coordinator.open(options)` makes one. */
export interface CoordinatorApi {
  /** Parses the specification, checks it against its data set, makes version 0 and opens the first round. */
  createRun(spec: unknown, by: string): Promise<Result<{ readonly run: RunId }>>;
  /** One message of the admin namespace, parsed by AdminCommand. `by` is who gave it, at most 500 characters, as it stands in the ledger. */
  command(command: unknown, by: string): Promise<Result<AdminReply>>;
  connect(port: VolunteerPort): VolunteerSession;
  /** Ends the connection whose welcome carried this word, and gives its leases back; false where there is none. */
  goodbye(farewell: string): Promise<boolean>;
  runs(): readonly RunSummary[];
  detail(run: string): RunDetail | null;
  /** Records from `fromSeq` on, at most `limit` (capped at 1,000); null where there is no such run. */
  ledger(run: string, fromSeq: number, limit: number): Promise<readonly LedgerRecord[] | null>;
  /** Called with a run's id whenever something of it changed. */
  subscribe(listener: (run: RunId) => void): () => void;
  /** Distinct volunteers with a session that has said hello. */
  volunteersNow(): number;
  /** Totals since start: `refused.<code>`, `messages.<event>`, `contributions.admitted`, `bytes.in`, `bytes.out`, `sessions.opened`, ... */
  counters(): Readonly<Record<string, number>>;
  /** Bytes served over HTTP, for the rates of a run (null: not of one run). */
  noteBytesOut(run: string | null, bytes: number): void;
  /** The application calls it every 500 ms. */
  tick(): Promise<void>;
  /** Offers nothing more, finishes what is arriving, waits until all is stored. Does not close the storage. */
  close(): Promise<void>;
}
