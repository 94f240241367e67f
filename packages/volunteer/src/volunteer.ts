// The volunteer: carries out what the state machine decides, over an injected transport, engine, data, identity and clock, and feeds back
// what came of it. Decides nothing itself.
import { type AssignmentRef, ERROR_CODES, ok, PROTOCOL_VERSION, type Result, refuse } from "@weft/protocol";
import * as z from "zod/mini";
import { cachedBlobs, checkedBlobs } from "./blobs.ts";
import { DeviceFault, JobFault } from "./faults.ts";
import { ChallengeIn, ChunkReplyIn, ContributionOpenedIn, LeaseReplyIn, parseReply, RevokeIn, WelcomeIn, WorkIn } from "./inbound.ts";
import { Pacer } from "./pacer.ts";
import { samplesPerVersion } from "./plan.ts";
import type { BlobSource, Clock, Hash, VolunteerData, VolunteerEngine, VolunteerIdentity } from "./ports.ts";
import type { ResidualStore } from "./residuals.ts";
import type { VolunteerSnapshot } from "./snapshot.ts";
import { type Effect, type Input, initialState, jobKey, type VolunteerState } from "./state.ts";
import { snapshotOf } from "./status.ts";
import { nextWakeMs, step } from "./step.ts";
import { CHUNK_TIMEOUT_MS, GOODBYE_MS, REQUEST_TIMEOUT_MS } from "./timing.ts";
import type { Connection, Transport } from "./transport.ts";
import { Workbench } from "./workbench.ts";

export interface VolunteerOptions {
  readonly identity: VolunteerIdentity;
  /** Called at the first start, and again after the device was lost. */
  readonly createEngine: () => Promise<VolunteerEngine>;
  /** Given blobs that are checked and cached. */
  readonly data: (blobs: BlobSource) => VolunteerData;
  /** Need not check hashes: that is done here. */
  readonly blobs: BlobSource;
  readonly hash: Hash;
  readonly clock: Clock;
  readonly transport: Transport;
  /** Named and signed in the hello: the page's own, or the coordinator's address outside browsers. */
  readonly origin: string;
  readonly name?: string | null;
  readonly effort?: number;
  /** Called at each welcome with the word that says goodbye for this connection over HTTP: for a page that may go at any moment. */
  readonly onFarewell?: (farewell: string) => void;
  /** Where biased codecs keep from visit to visit what they could not say; absent: as long as this object. It must be this one's alone. */
  readonly residuals?: ResidualStore;
  /** Of the reconnection jitter; u32. */
  readonly seed: number;
}

const RELEASE_TRIES = 4;
/** Data shards kept in memory. */
const SHARD_CACHE_BYTES = 64 * 1024 * 1024;

export class Volunteer {
  readonly #options: VolunteerOptions;
  readonly #bench: Workbench;
  readonly #listeners = new Set<(snapshot: VolunteerSnapshot) => void>();
  readonly #inbox: Input[] = [];
  #state: VolunteerState;
  #snapshot: VolunteerSnapshot;
  #connection: { readonly epoch: number; readonly line: Connection; readonly pacer: Pacer; challenge: ChallengeIn | null } | null = null;
  #sleepUntilMs: number | null = null;
  #draining = false;
  #leaving: Promise<unknown> = Promise.resolve();

  constructor(options: VolunteerOptions) {
    this.#options = options;
    const { identity, name = null, effort = 1, seed, hash, clock, createEngine } = options;
    this.#state = initialState({ volunteer: identity.volunteer, name, effort, seed });
    this.#snapshot = snapshotOf(this.#state);
    const blobs = checkedBlobs(options.blobs, hash, (bytes) => this.#take({ kind: "downloaded", bytes }));
    this.#bench = new Workbench({
      createEngine,
      onDevice: (tested) => this.#take({ kind: "tested", ...tested }),
      data: options.data(cachedBlobs(blobs, SHARD_CACHE_BYTES)),
      identity,
      blobs,
      hash,
      clock,
      residuals: options.residuals ?? null,
      onWeights: (way) => this.#take({ kind: "weights", way }),
    });
  }

  /** Null: whatever run the coordinator has. */
  start(run: string | null = null): void {
    this.#take({ kind: "start", run });
  }
  pause(untilMs: number | null = null): void {
    this.#take({ kind: "pause", untilMs });
  }
  resume(): void {
    this.#take({ kind: "resume" });
  }
  /** Holds work for a reason that is not the person's: on battery, or the page is frozen. */
  hold(reason: "battery" | "frozen"): void {
    this.#take({ kind: "hold", reason });
  }
  unhold(reason: "battery" | "frozen"): void {
    this.#take({ kind: "unhold", reason });
  }
  finish(): void {
    this.#take({ kind: "finish" });
  }
  /** Resolves when the goodbye is answered, or was waited for long enough; the device is freed after what runs on it. */
  async stop(): Promise<void> {
    this.#take({ kind: "stop" });
    await this.#leaving;
  }
  setEffort(effort: number): void {
    this.#take({ kind: "effort", effort });
  }
  setName(name: string | null): void {
    this.#take({ kind: "name", name });
  }

  /** The same object until something changes. */
  snapshot(): VolunteerSnapshot {
    return this.#snapshot;
  }
  subscribe(listener: (snapshot: VolunteerSnapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Inputs one after another, also those that come while an effect is begun. */
  #take(input: Input): void {
    this.#inbox.push(input);
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        const { state, effects } = step(this.#state, next, this.#options.clock.now());
        this.#state = state;
        for (const effect of effects) this.#carryOut(effect);
      }
    } finally {
      this.#draining = false;
    }
    this.#scheduleTick();
    this.#snapshot = snapshotOf(this.#state);
    for (const listener of [...this.#listeners]) listener(this.#snapshot);
  }

  /** One sleeper at a time but for an earlier one; it looks again when it wakes. */
  #scheduleTick(): void {
    const wakeMs = nextWakeMs(this.#state);
    if (wakeMs === null || (this.#sleepUntilMs !== null && this.#sleepUntilMs <= wakeMs)) return;
    this.#sleepUntilMs = wakeMs;
    void this.#options.clock.sleep(Math.max(0, wakeMs - this.#options.clock.now())).then(() => {
      if (this.#sleepUntilMs === wakeMs) this.#sleepUntilMs = null;
      this.#take({ kind: "tick" });
    });
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "test-device":
        void this.#testDevice(effect.anew);
        return;
      case "connect":
        this.#connect(effect.epoch);
        return;
      case "disconnect":
        this.#disconnect(effect.goodbye);
        return;
      case "say-hello":
        void this.#sayHello(effect.epoch);
        return;
      case "request-lease": {
        const { epoch, samplesPerSecond } = effect;
        const asked = this.#ask(epoch, "lease", { run: this.#state.run, samplesPerSecond }, LeaseReplyIn);
        void asked.then((reply) => this.#take({ kind: "lease-reply", epoch, reply }));
        return;
      }
      case "fetch":
        void this.#onJob(effect.key, async () => {
          const { work, plan } = await this.#bench.prepare(effect.key, effect.assignment);
          const { spec, assignment } = work;
          const ahead = spec.training.mode === "local-steps";
          return { kind: "fetched", key: effect.key, plan, ahead, samplesPerVersion: samplesPerVersion(spec, assignment.samples) };
        });
        return;
      case "compute":
        void this.#onJob(effect.key, async () => {
          const { key, index, to, afterMs } = effect;
          if (afterMs > 0) await this.#options.clock.sleep(afterMs);
          const done = await this.#bench.compute(key, index);
          return done === null ? null : { kind: "computed", key, to, ...done };
        });
        return;
      case "pack":
        void this.#onJob(effect.key, async () => {
          const sizeBytes = await this.#bench.pack(effect.key);
          return sizeBytes === null ? null : { kind: "packed", key: effect.key, sizeBytes };
        });
        return;
      case "open-upload": {
        const { epoch, key } = effect;
        const opened = this.#ask(epoch, "contribution", this.#bench.opening(key), ContributionOpenedIn);
        void opened.then((reply) => this.#take({ kind: "upload-opened", epoch, key, reply: reply.ok ? ok(reply.value.nextChunk) : reply }));
        return;
      }
      case "send-chunk": {
        const { epoch, key, index } = effect;
        const sent = this.#ask(epoch, "chunk", this.#bench.chunk(key, index), ChunkReplyIn, CHUNK_TIMEOUT_MS);
        void sent.then((reply) => this.#take({ kind: "chunk-acked", epoch, key, index, reply }));
        return;
      }
      case "release": {
        const { run, lease, attempt } = effect.assignment;
        void this.#release({ run, lease, attempt });
        return;
      }
      case "progress": {
        const { run, lease, attempt } = effect.assignment;
        const { done, of, spentMs } = effect;
        void this.#ask(this.#connection?.epoch ?? -1, "progress", { run, lease, attempt, done, of, spentMs }, z.unknown());
        return;
      }
      case "discard":
        this.#bench.discard(effect.key, effect.verdict);
        return;
      case "free-device":
        void this.#bench.free();
        return;
      default:
        effect satisfies never;
    }
  }

  async #testDevice(anew: boolean): Promise<void> {
    try {
      this.#take({ kind: "tested", ...(await this.#bench.test(anew)) });
    } catch (error) {
      this.#take({ kind: "device-lost", key: null, detail: messageOf(error) });
    }
  }

  /** Works on a job; its faults become inputs. Anything else thrown is a programming error and fails the job as `internal`. */
  async #onJob(key: string, work: () => Promise<Input | null>): Promise<void> {
    try {
      const input = await work();
      if (input !== null) this.#take(input);
    } catch (error) {
      if (error instanceof DeviceFault) this.#take({ kind: "device-lost", key, detail: messageOf(error) });
      else
        this.#take({
          kind: "job-failed",
          key,
          fault: { code: error instanceof JobFault ? error.code : "internal", message: messageOf(error) },
        });
    }
  }

  #connect(epoch: number): void {
    const line = this.#options.transport.connect({
      connected: () => this.#take({ kind: "connected", epoch }),
      disconnected: (reason) => this.#take({ kind: "disconnected", epoch, reason }),
      notice: (event, message) => this.#notice(epoch, event, message),
    });
    this.#connection = { epoch, line, pacer: new Pacer(), challenge: null };
  }

  #disconnect(goodbye: "goodbye" | "pause" | "stop" | null): void {
    const line = this.#connection?.line;
    this.#connection = null;
    if (line === undefined) return;
    if (goodbye === null) {
      line.close();
      return;
    }
    this.#leaving = line.request("leave", { reason: goodbye }, GOODBYE_MS).finally(() => line.close());
  }

  #notice(epoch: number, event: string, message: unknown): void {
    switch (event) {
      case "challenge": {
        const challenge = ChallengeIn.safeParse(message);
        if (!challenge.success) break;
        if (this.#connection?.epoch === epoch) this.#connection.challenge = challenge.data;
        this.#take({ kind: "challenged", epoch, protocol: challenge.data.protocol });
        return;
      }
      case "work": {
        const work = WorkIn.safeParse(message);
        if (!work.success) break;
        this.#take({ kind: "work", epoch, run: work.data.run });
        return;
      }
      case "revoke": {
        const revoke = RevokeIn.safeParse(message);
        if (!revoke.success) break;
        this.#take({ kind: "revoked", epoch, key: jobKey(revoke.data), reason: revoke.data.reason });
        return;
      }
    }
    this.#take({ kind: "bad-notice", epoch, event: event.slice(0, 40) });
  }

  async #sayHello(epoch: number): Promise<void> {
    const { identity, origin } = this.#options;
    const { device, selfTest, name, run } = this.#state;
    const challenge = this.#connection?.challenge;
    if (challenge == null || device === null || selfTest === null) throw new Error("a hello needs a challenge and a tested device");
    const { volunteer } = identity;
    const { nonce, coordinator } = challenge;
    const signed = { coordinator, origin, nonce, volunteer, protocol: PROTOCOL_VERSION };
    const signature = await identity.sign("weft-hello-1", signed);
    const hello = { protocol: PROTOCOL_VERSION, volunteer, name, device, selfTest, origin, nonce, signature, run };
    const reply = await this.#ask(epoch, "hello", hello, WelcomeIn);
    if (reply.ok && reply.value.farewell !== undefined) this.#options.onFarewell?.(reply.value.farewell);
    this.#take({ kind: "welcome", epoch, reply: reply.ok ? ok(reply.value.open) : reply });
  }

  async #ask<T>(
    epoch: number,
    event: string,
    message: unknown,
    schema: z.ZodMiniType<T>,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Result<T>> {
    const connection = this.#connection;
    if (message === null || connection?.epoch !== epoch) return refuse("unavailable", "There is no connection.");
    const waitMs = connection.pacer.waitMs(this.#options.clock.now());
    if (waitMs > 0) await this.#options.clock.sleep(waitMs);
    return parseReply(schema, event, await connection.line.request(event, message, timeoutMs));
  }

  /** Tried again where that may help; failing that, the deadline gives the lease back all the same. */
  async #release(assignment: AssignmentRef): Promise<void> {
    // The state may be past this connection already: a lease is given back just before a goodbye.
    const epoch = this.#connection?.epoch ?? -1;
    for (let tries = 1; tries <= RELEASE_TRIES; tries++) {
      const reply = await this.#ask(epoch, "release", assignment, z.unknown());
      if (reply.ok || !ERROR_CODES[reply.code].retry) return;
      await this.#options.clock.sleep(Math.min(reply.retryAfterMs ?? 0, 5_000) + 100 * tries);
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 300);
