// A volunteer in fifty lines, from the protocol's own description: a socket, a key, a plain engine. It stops when it is told to, or vanishes.
import { createHash } from "node:crypto";
import { type ShardSource, volunteerData } from "@weft/datasets";
import { createEngine, type Engine } from "@weft/engine";
import { createIdentity, type Identity, SIGNING_DOMAINS } from "@weft/ledger";
import {
  type Assignment,
  CHUNK_BYTES,
  type Challenge,
  encodeFrame,
  f32ToHex,
  type LeaseReply,
  PROTOCOL_VERSION,
  type Result,
  type RunSpec,
} from "@weft/protocol";
import { codecNamed, f32FromBytes } from "@weft/tensors";
import { drawSample, visitedSample } from "@weft/training";
import { io, type Socket } from "socket.io-client";

export class ScriptedVolunteer {
  readonly identity: Identity = createIdentity();
  readonly #origin: string;
  #socket: Socket | null = null;
  #engine: Engine | null = null;
  /** Leases whose contribution was admitted. */
  admitted = 0;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Connects and says hello. */
  async connect(headers: Record<string, string> = {}): Promise<Result<unknown>> {
    const socket = io(`${this.#origin}/volunteer`, {
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      extraHeaders: headers,
    });
    this.#socket = socket;
    const { nonce, coordinator } = await new Promise<Challenge>((resolve, reject) => {
      socket.once("challenge", resolve);
      socket.once("connect_error", reject);
    });
    const volunteer = this.identity.publicKey;
    const signed = { coordinator, origin: this.#origin, nonce, volunteer, protocol: PROTOCOL_VERSION };
    return socket.emitWithAck("hello", {
      protocol: PROTOCOL_VERSION,
      volunteer,
      name: null,
      device: { backend: "cpu", description: "test", software: false },
      selfTest: { passed: true, relativeError: 0, detail: "" },
      origin: this.#origin,
      nonce,
      signature: this.identity.sign(SIGNING_DOMAINS.hello, signed),
      run: null,
    });
  }
  get socket(): Socket {
    if (this.#socket === null) throw new Error("not connected");
    return this.#socket;
  }
  vanish(): void {
    this.#socket?.disconnect();
  }

  readonly #blobs: ShardSource = {
    get: async (sha256) => {
      const response = await fetch(`${this.#origin}/blobs/${sha256}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (createHash("sha256").update(bytes).digest("hex") !== sha256) throw new Error(`blob ${sha256} is not what its name says`);
      return bytes;
    },
  };
  readonly #data = volunteerData({ blobs: this.#blobs, draw: drawSample, visit: visitedSample });
  readonly #documents = new Map<string, unknown>();
  async #document(sha256: string): Promise<unknown> {
    const known = this.#documents.get(sha256) ?? JSON.parse(new TextDecoder().decode(await this.#blobs.get(sha256, 0)));
    this.#documents.set(sha256, known);
    return known;
  }

  /** Waits as it is told where its messages come too fast, as they do on a quick machine. */
  async #ask<T>(event: string, message: unknown): Promise<Result<T>> {
    for (;;) {
      const reply: Result<T> = await this.socket.emitWithAck(event, message);
      if (reply.ok || reply.code !== "rate-limited") return reply;
      await new Promise((resolve) => setTimeout(resolve, reply.retryAfterMs ?? 0));
    }
  }

  async requestLease(run: string | null = null): Promise<LeaseReply> {
    const reply: Result<LeaseReply> = await this.#ask("lease", { run, samplesPerSecond: 5_000 });
    if (!reply.ok) throw new Error(`${reply.code}: ${reply.message}`);
    return reply.value;
  }

  /** Mean gradient of the assignment, encoded and signed. */
  async compute(assignment: Assignment) {
    const spec = (await this.#document(assignment.spec.sha256)) as RunSpec;
    const manifest = (await this.#document(assignment.dataset.sha256)) as never;
    this.#engine ??= await createEngine({ preference: "cpu", allowSoftwareGpu: false });
    const { microBatch } = spec.training;
    await this.#engine.load(spec.model, microBatch);
    await this.#engine.setWeights(f32FromBytes(await this.#blobs.get(assignment.weights.sha256, 0)));
    let sum: Float32Array | null = null;
    let lossSum = 0;
    for (let from = 0; from < assignment.samples; from += microBatch) {
      const to = Math.min(assignment.samples, from + microBatch);
      const step = await this.#engine.step(await this.#data.batch({ assignment, spec, manifest }, from, to, microBatch));
      lossSum += step.lossSum;
      sum = sum === null ? step.gradientSum.slice() : sum.map((value, index) => value + (step.gradientSum[index] ?? 0));
    }
    const mean = (sum ?? new Float32Array(0)).map((value) => value / assignment.samples);
    const lease = Number(assignment.lease.split(".")[1]);
    const encoded = codecNamed(assignment.codec)?.encode(mean, { seed: spec.seed, lease });
    if (encoded?.ok !== true) throw new Error("the update cannot be encoded");
    const { bytes } = encoded;
    const header = {
      run: assignment.run,
      lease: assignment.lease,
      attempt: assignment.attempt,
      volunteer: this.identity.publicKey,
      base: assignment.weights.sha256,
      codec: assignment.codec,
      samples: assignment.samples,
      lossMean: f32ToHex(lossSum / assignment.samples),
      computeMs: 1,
      sizeBytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    };
    return { header, signature: this.identity.sign(SIGNING_DOMAINS.contribution, header), bytes };
  }

  async contribute(assignment: Assignment): Promise<Result<unknown>> {
    const { header, signature, bytes } = await this.compute(assignment);
    let reply: Result<unknown> = await this.#ask("contribution", { header, signature });
    const { run, lease, attempt } = assignment;
    for (let index = 0; reply.ok && index * CHUNK_BYTES < bytes.length; index++) {
      const payload = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      reply = await this.#ask("chunk", encodeFrame({ run, lease, attempt, index }, payload));
    }
    if (reply.ok) this.admitted += 1;
    return reply;
  }

  /** Takes leases and answers them until `enough` says so. */
  async work(enough: () => boolean): Promise<void> {
    while (!enough()) {
      const reply = await this.requestLease();
      if (reply.kind === "lease") await this.contribute(reply.assignment);
      else
        await Promise.race([
          new Promise((resolve) => this.socket.once("work", resolve)),
          new Promise((resolve) => setTimeout(resolve, 200)),
        ]);
    }
  }
}
