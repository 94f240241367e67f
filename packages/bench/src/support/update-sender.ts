// A volunteer that only sends: hello, lease, and bytes that were made before, in a window of chunks as the real one has it. Knows no engine.
import { createHash } from "node:crypto";
import { createIdentity, SIGNING_DOMAINS } from "@weft/ledger";
import {
  type Assignment,
  CHUNK_BYTES,
  CHUNK_WINDOW,
  type Challenge,
  type ChunkReply,
  type ContributionHeader,
  type ContributionOpened,
  encodeFrame,
  f32ToHex,
  type LeaseReply,
  PROTOCOL_VERSION,
  type Result,
} from "@weft/protocol";
import { io, type Socket } from "socket.io-client";

const agreed = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
};

export class UpdateSender {
  readonly #identity = createIdentity();
  readonly #socket: Socket;
  readonly #run: string;

  private constructor(socket: Socket, run: string) {
    this.#socket = socket;
    this.#run = run;
  }

  static async connect(origin: string, run: string): Promise<UpdateSender> {
    const socket = io(`${origin}/volunteer`, { transports: ["websocket"], reconnection: false, forceNew: true });
    const sender = new UpdateSender(socket, run);
    const { nonce, coordinator } = await new Promise<Challenge>((resolve, reject) => {
      socket.once("challenge", resolve);
      socket.once("connect_error", reject);
    });
    const volunteer = sender.#identity.publicKey;
    const signed = { coordinator, origin, nonce, volunteer, protocol: PROTOCOL_VERSION };
    const hello = {
      protocol: PROTOCOL_VERSION,
      volunteer,
      name: null,
      device: { backend: "cpu", description: "bench", software: false },
      selfTest: { passed: true, relativeError: 0, detail: "" },
      origin,
      nonce,
      signature: sender.#identity.sign(SIGNING_DOMAINS.hello, signed),
      run,
    };
    agreed<unknown>(await socket.emitWithAck("hello", hello));
    return sender;
  }

  async lease(samplesPerSecond: number): Promise<Assignment> {
    const reply = agreed<LeaseReply>(await this.#socket.emitWithAck("lease", { run: this.#run, samplesPerSecond }));
    if (reply.kind !== "lease") throw new Error(reply.reason);
    return reply.assignment;
  }

  /** Announces the bytes, and gives the sending of them: it resolves when the coordinator has said that they are admitted. */
  async open(assignment: Assignment, bytes: Uint8Array): Promise<() => Promise<void>> {
    const { run, lease, attempt, samples, codec, weights } = assignment;
    const header: ContributionHeader = {
      run,
      lease,
      attempt,
      volunteer: this.#identity.publicKey,
      base: weights.sha256,
      codec,
      samples,
      lossMean: f32ToHex(1),
      computeMs: 1,
      sizeBytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    };
    const signature = this.#identity.sign(SIGNING_DOMAINS.contribution, header);
    agreed<ContributionOpened>(await this.#socket.emitWithAck("contribution", { header, signature }));
    return () => this.#send({ run, lease, attempt }, bytes);
  }

  async #send(ref: Pick<Assignment, "run" | "lease" | "attempt">, bytes: Uint8Array): Promise<void> {
    const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
    let next = 0;
    let verdict: ChunkReply | null = null;
    const lane = async (): Promise<void> => {
      for (let index = next++; index < chunks; index = next++) {
        const payload = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
        const reply = agreed<ChunkReply>(await this.#socket.emitWithAck("chunk", encodeFrame({ ...ref, index }, payload)));
        if (index === chunks - 1) verdict = reply;
      }
    };
    await Promise.all(Array.from({ length: CHUNK_WINDOW }, lane));
    if ((verdict as ChunkReply | null)?.kind !== "admitted") throw new Error("the upload ended without its verdict");
  }

  close(): void {
    this.#socket.disconnect();
  }
}
