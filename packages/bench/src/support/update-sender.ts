// A volunteer that only sends: hello, lease, and chunks that were made ready for the wire before, in a window as the real one has it. To the
// coordinator it is one like all others; it shares the coordinator's processors, so what it costs while it sends is kept small. Knows no engine.
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
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
import { type Prepared, RawSocket } from "./raw-socket.ts";

const agreed = <T>(reply: unknown): T => {
  const result = reply as Result<T>;
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
};

export class UpdateSender {
  readonly #identity = createIdentity();
  readonly #socket: RawSocket;
  readonly #run: string;

  private constructor(socket: RawSocket, run: string) {
    this.#socket = socket;
    this.#run = run;
  }

  static async connect(origin: string, run: string): Promise<UpdateSender> {
    const { socket, message } = await RawSocket.connect<Challenge>(origin, "/volunteer", "challenge");
    const sender = new UpdateSender(socket, run);
    const { nonce, coordinator } = message;
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
    agreed<unknown>(await socket.request("hello", hello));
    return sender;
  }

  async lease(samplesPerSecond: number): Promise<Assignment> {
    const reply = agreed<LeaseReply>(await this.#socket.request("lease", { run: this.#run, samplesPerSecond }));
    if (reply.kind !== "lease") throw new Error(reply.reason);
    return reply.assignment;
  }

  /** Announces the bytes, makes their chunks ready, and gives the sending of them: it resolves when the coordinator has said that they are admitted. */
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
    agreed<ContributionOpened>(await this.#socket.request("contribution", { header, signature }));
    const chunks: Prepared[] = [];
    for (let index = 0; index * CHUNK_BYTES < bytes.length; index++) {
      const payload = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      chunks.push(this.#socket.prepare("chunk", encodeFrame({ run, lease, attempt, index }, payload)));
      // Pings must be answered meanwhile.
      await setImmediate();
    }
    return () => this.#send(chunks);
  }

  async #send(chunks: readonly Prepared[]): Promise<void> {
    let next = 0;
    let verdict: ChunkReply | null = null;
    const lane = async (): Promise<void> => {
      for (let index = next++; index < chunks.length; index = next++) {
        const reply = agreed<ChunkReply>(await this.#socket.send(chunks[index] as Prepared));
        if (index === chunks.length - 1) verdict = reply;
      }
    };
    await Promise.all(Array.from({ length: CHUNK_WINDOW }, lane));
    if ((verdict as ChunkReply | null)?.kind !== "admitted") throw new Error("the upload ended without its verdict");
  }

  close(): void {
    this.#socket.close();
  }
}
