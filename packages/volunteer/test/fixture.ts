// A small run with its blobs, an engine whose gradients are known, and a coordinator that answers as it is told. For tests.
import { createHash } from "node:crypto";
import {
  type Assignment,
  type BlobRef,
  type ChunkReply,
  type ContributionHeader,
  decodeFrame,
  ok,
  PROTOCOL_VERSION,
  type Result,
  type RunSpec,
  refuse,
} from "@weft/protocol";
import {
  codecNamed,
  type DevicePacking,
  type Encoded,
  encodeWithResidual,
  f32ToBytes,
  type LeaseResult,
  type LeaseWork,
  type LocalSteps,
  type LocalStepsResult,
  type StepBatches,
  type StepResult,
  samplesIn,
} from "@weft/tensors";
import { BlobFault } from "../src/blobs.ts";
import type { VolunteerData, VolunteerEngine, VolunteerIdentity } from "../src/ports.ts";
import type { ResidualStore } from "../src/residuals.ts";
import type { Connection, Transport, TransportHandlers } from "../src/transport.ts";
import { Volunteer } from "../src/volunteer.ts";
import { MANIFEST, SPEC } from "./tiny-run.ts";
import { settle, VirtualClock } from "./virtual-clock.ts";

export { LOCAL, SPEC } from "./tiny-run.ts";

export const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const KEY = "ab".repeat(32);
export const COORDINATOR = "cd".repeat(32);

export class Blobs {
  readonly bytes = new Map<string, Uint8Array>();
  asked: string[] = [];
  put(bytes: Uint8Array): BlobRef {
    const sha256 = sha(bytes);
    this.bytes.set(sha256, bytes);
    return { sha256, sizeBytes: bytes.length };
  }
  async get(sha256: string): Promise<Uint8Array> {
    this.asked.push(sha256);
    const bytes = this.bytes.get(sha256);
    if (bytes === undefined) throw new BlobFault("unknown-blob", "There is no such blob.");
    return bytes;
  }
}

/** Gradient value i of a batch of n real rows is n * (i + 1): the mean over a lease is i + 1. */
export class FakeEngine implements VolunteerEngine {
  device: VolunteerEngine["device"];
  readonly clock: VirtualClock;
  size: number;
  stepMs = 10;
  passes = true;
  failing: string | null = null;
  steps = 0;
  weightsSet = 0;
  weights: Float32Array | null = null;
  stepsBegun: number[] = [];
  disposed = false;
  /** Codecs in which it encodes updates itself, and how. */
  packs: readonly string[] = [];
  pack: (update: Float32Array, work: LeaseWork) => Encoded | Float32Array = (update, { codec, stream }) =>
    codecNamed(codec)?.encode(update, stream) ?? update;
  /** The same in codecs with error feedback; what it was given to say with each update. */
  packWithRest: (update: Float32Array, work: LeaseWork, residual: Float32Array) => Pick<LeaseResult, "update" | "rest"> = (
    update,
    { codec: name, stream },
    residual,
  ) => {
    const codec = codecNamed(name);
    if (codec?.feedback === undefined) throw new Error(`${name} has no error feedback`);
    const encoded = encodeWithResidual(codec, codec.feedback, residual, update, stream);
    return encoded.ok ? { update: { ok: true, bytes: encoded.bytes }, rest: Promise.resolve(encoded.rest) } : { update: encoded };
  };
  residuals: Float32Array[] = [];
  works: LeaseWork[] = [];
  constructor(clock: VirtualClock, size: number, description = "fake") {
    this.clock = clock;
    this.size = size;
    this.device = { backend: "cpu" as const, description, software: false };
  }
  async selfTest() {
    return { passed: this.passes, relativeError: this.passes ? 0 : 1, detail: this.passes ? "" : "All gradients are zero." };
  }
  async load(): Promise<void> {}
  async setWeights(flat: Float32Array): Promise<void> {
    this.weightsSet += 1;
    if (flat.length !== this.size) throw new Error("wrong size");
    this.weights = flat.slice();
  }
  async step(batch: { readonly weights: Float32Array }): Promise<StepResult> {
    await this.clock.sleep(this.stepMs);
    if (this.failing !== null) throw new Error(this.failing);
    this.steps += 1;
    const rows = batch.weights.reduce((sum, weight) => sum + weight, 0);
    return { lossSum: 2 * rows, gradientSum: Float32Array.from({ length: this.size }, (_, i) => rows * (i + 1)) };
  }
  /** Moves the weights by what `step` gives for each micro-batch. */
  async localSteps({ steps }: Pick<LocalSteps, "steps">, batches: StepBatches): Promise<LocalStepsResult | null> {
    const update = new Float32Array(this.size);
    let [lossSum, samples] = [0, 0];
    for (let step = 0; step < steps; step++) {
      this.stepsBegun.push(step);
      const given = await batches(step);
      if (given === null) return null;
      for (const batch of given) {
        const result = await this.step(batch);
        lossSum += result.lossSum;
        for (let at = 0; at < update.length; at++) update[at] = (update[at] as number) + (result.gradientSum[at] as number);
      }
      samples += samplesIn(given);
    }
    return { update, lossSum, samples };
  }
  get packing(): DevicePacking {
    return {
      codecs: this.packs,
      update: async (work, batches, residual) => {
        this.works.push(work);
        const isGradient = work.kind === "gradient";
        const result = await this.localSteps({ steps: isGradient ? work.steps : work.work.steps }, batches);
        if (result === null) return null;
        const update = isGradient ? result.update.map((value) => value / result.samples) : result.update;
        const feedback = codecNamed(work.codec)?.feedback;
        if (feedback === undefined) return { ...result, update: this.pack(update, work) };
        const given = await residual();
        if (given === null) return null;
        this.residuals.push(given.slice());
        return { ...result, ...this.packWithRest(update, work, given) };
      },
    };
  }
  dispose(): void {
    this.disposed = true;
  }
}
const data: VolunteerData = {
  async batch(_work, from, to, rows) {
    return {
      rows,
      inputs: new Float32Array(rows * 4),
      targets: new Int32Array(rows),
      weights: Float32Array.from({ length: rows }, (_, row) => (row < to - from ? 1 : 0)),
    };
  },
};
const identity: VolunteerIdentity = { volunteer: KEY, sign: async (domain) => sha(new TextEncoder().encode(domain)).repeat(2) };

export interface Upload {
  readonly header: ContributionHeader;
  chunks: Uint8Array[];
}
type Answer = unknown | ((message: never) => unknown);

/** One honest coordinator with a list of leases; `answers` overrides single events, `null` leaves a request without an answer. */
export class FakeCoordinator implements Transport {
  readonly clock: VirtualClock;
  readonly log: { readonly event: string; readonly message: unknown }[] = [];
  readonly uploads = new Map<string, Upload>();
  leases: Assignment[] = [];
  open: Assignment[] = [];
  admitted: ContributionHeader[] = [];
  answers: Record<string, Answer> = {};
  challenge: unknown = { nonce: "12".repeat(16), coordinator: COORDINATOR, protocol: PROTOCOL_VERSION };
  reachable = true;
  connections = 0;
  handlers: TransportHandlers | null = null;

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  connect(handlers: TransportHandlers): Connection {
    this.connections += 1;
    let over = false;
    this.handlers = handlers;
    queueMicrotask(() => {
      if (over) return;
      if (!this.reachable) return handlers.disconnected("refused");
      handlers.connected();
      handlers.notice("challenge", this.challenge);
    });
    return {
      request: async (event, message, timeoutMs) => {
        if (over || this.handlers !== handlers) return refuse("unavailable", "There is no connection.");
        this.log.push({ event, message });
        const answer = this.answers[event];
        const reply = answer === undefined ? this.honest(event, message) : typeof answer === "function" ? answer(message) : answer;
        return reply === null ? this.clock.sleep(timeoutMs).then(() => refuse("unavailable", "No answer.")) : reply;
      },
      close: () => {
        over = true;
        if (this.handlers === handlers) this.handlers = null;
      },
    };
  }
  /** The line breaks. */
  cut(): void {
    const { handlers } = this;
    this.handlers = null;
    handlers?.disconnected("transport close");
  }
  said(event: string): unknown[] {
    return this.log.filter((entry) => entry.event === event).map(({ message }) => message);
  }
  honest(event: string, message: unknown): Result<unknown> {
    switch (event) {
      case "hello":
        return ok({ volunteer: KEY, open: this.open, farewell: `farewell ${this.said("hello").length}` });
      case "lease": {
        const assignment = this.leases.shift();
        return ok(assignment ? { kind: "lease", assignment } : { kind: "none", reason: "Nothing to do.", retryAfterMs: 5_000 });
      }
      case "contribution": {
        const { header } = message as { readonly header: ContributionHeader };
        const known = this.uploads.get(header.lease) ?? { header, chunks: [] };
        this.uploads.set(header.lease, known);
        return ok({ nextChunk: known.chunks.length });
      }
      case "chunk":
        return this.receive(message as Uint8Array);
      default:
        return ok(null);
    }
  }
  receive(frame: Uint8Array): Result<ChunkReply> {
    const decoded = decodeFrame(frame);
    if (decoded === null) return refuse("bad-message", "No frame.");
    const { lease, index } = decoded.header as { lease: string; index: number };
    const upload = this.uploads.get(lease);
    if (upload === undefined) return refuse("unknown-upload", "No such upload.");
    if (index !== upload.chunks.length) return refuse("bad-chunk", "Out of order.");
    upload.chunks.push(decoded.payload.slice());
    const bytes = Buffer.concat(upload.chunks);
    if (bytes.length < upload.header.sizeBytes) return ok({ kind: "received", nextChunk: upload.chunks.length });
    if (sha(bytes) !== upload.header.sha256) return refuse("wrong-hash", "The bytes are not those announced.");
    this.admitted.push(upload.header);
    return ok({ kind: "admitted", version: 1 });
  }
}

export interface World {
  readonly clock: VirtualClock;
  readonly coordinator: FakeCoordinator;
  readonly blobs: Blobs;
  readonly engines: FakeEngine[];
  readonly volunteer: Volunteer;
  /** Of each welcome, in order. */
  readonly farewells: string[];
  /** `lease` of `samples` samples on a version whose weights are its own. */
  lease(lease: string, change?: Partial<Assignment>): Assignment;
  /** Runs until `done`, at most a minute of virtual time. */
  until(done: () => boolean, everyMs?: number): Promise<void>;
}

interface WorldOptions {
  readonly size?: number;
  readonly prepare?: (engine: FakeEngine) => void;
  readonly spec?: RunSpec;
  readonly residuals?: ResidualStore;
}

export function world({ size = 6, prepare = () => {}, spec: specification = SPEC, residuals }: WorldOptions = {}): World {
  const clock = new VirtualClock();
  const coordinator = new FakeCoordinator(clock);
  const blobs = new Blobs();
  const engines: FakeEngine[] = [];
  const farewells: string[] = [];
  const json = (value: unknown): BlobRef => blobs.put(new TextEncoder().encode(JSON.stringify(value)));
  const spec = json(specification);
  const dataset = json(MANIFEST);
  const volunteer = new Volunteer({
    identity,
    createEngine: async () => {
      const engine = new FakeEngine(clock, size, `fake ${engines.length}`);
      prepare(engine);
      engines.push(engine);
      return engine;
    },
    data: () => data,
    blobs,
    hash: async (bytes) => sha(bytes),
    clock,
    transport: coordinator,
    origin: "https://weft.test",
    ...(residuals === undefined ? {} : { residuals }),
    seed: 1,
    onFarewell: (farewell) => farewells.push(farewell),
  });
  return {
    clock,
    coordinator,
    blobs,
    engines,
    volunteer,
    farewells,
    lease(lease, change = {}) {
      const version = Number(lease.split(".")[0]);
      const weights = blobs.put(f32ToBytes(new Float32Array(size).fill(version)));
      return {
        run: "tiny",
        lease,
        attempt: 1,
        version,
        weights,
        spec,
        dataset,
        start: 0,
        samples: 20,
        codec: "f32",
        remainingMs: 10_000,
        ...change,
      };
    },
    async until(done, everyMs = 5) {
      await settle();
      for (let waited = 0; !done() && waited < 60_000; waited += everyMs) await clock.advance(everyMs);
      if (!done())
        throw new Error(`not within a minute; ${JSON.stringify(volunteer.snapshot().status)} after ${coordinator.log.length} messages`);
    },
  };
}
