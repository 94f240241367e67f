// A volunteer whose every message a test writes: honest by default, and each part can be said wrongly. It speaks to a session directly, so
// that nothing between the raw message and the coordinator forgives a mistake.
import type { CoordinatorApi, VolunteerSession } from "@weft/coordinator";
import { type Identity, SIGNING_DOMAINS, sha256 } from "@weft/ledger";
import {
  type Assignment,
  CHUNK_BYTES,
  type Challenge,
  type ChunkReply,
  type ContributionHeader,
  encodeFrame,
  f32ToHex,
  type LeaseReply,
  leaseNumber,
  PROTOCOL_VERSION,
  type Result,
  type RevokeNotice,
  type Welcome,
  type WorkNotice,
} from "@weft/protocol";
import { codecNamed, randomStream } from "@weft/tensors";
import { seededIdentity, TEST_ORIGIN } from "./test-coordinator.ts";

export interface PreparedContribution {
  readonly header: ContributionHeader;
  readonly signature: string;
  readonly bytes: Uint8Array;
}

export class ScriptedVolunteer {
  readonly identity: Identity;
  readonly address: string;
  readonly work: WorkNotice[] = [];
  readonly revoked: RevokeNotice[] = [];
  readonly challenges: Challenge[] = [];
  closed = 0;
  #session: VolunteerSession | null = null;

  constructor(identity: number | Identity, address = "192.0.2.7") {
    this.identity = typeof identity === "number" ? seededIdentity(identity) : identity;
    this.address = address;
  }

  get key(): string {
    return this.identity.publicKey;
  }
  get session(): VolunteerSession {
    if (this.#session === null) throw new Error("not connected");
    return this.#session;
  }

  connect(coordinator: Pick<CoordinatorApi, "connect">, origin: string | null = null): this {
    const session: VolunteerSession = coordinator.connect({
      address: this.address,
      origin,
      send: (event: "challenge" | "work" | "revoke", message: Challenge | WorkNotice | RevokeNotice) => {
        if (event === "challenge") this.challenges.push(message as Challenge);
        else if (event === "work") this.work.push(message as WorkNotice);
        else this.revoked.push(message as RevokeNotice);
      },
      close: () => {
        this.closed += 1;
        // A transport tells the session of its end a moment later, never from inside.
        queueMicrotask(() => session.disconnected());
      },
    });
    this.#session = session;
    return this;
  }

  disconnect(): void {
    this.session.disconnected();
  }

  say<T>(event: string, message: unknown): Promise<Result<T>> {
    return this.session.handle(event, message) as Promise<Result<T>>;
  }

  /** A valid hello for the newest challenge, with parts replaced after signing (`lies`) or before (`parts`). */
  helloMessage(parts: Record<string, unknown> = {}, lies: Record<string, unknown> = {}): Record<string, unknown> {
    const challenge = this.challenges.at(-1);
    if (challenge === undefined) throw new Error("no challenge came");
    const hello = {
      protocol: PROTOCOL_VERSION,
      volunteer: this.key,
      name: null,
      device: { backend: "synthetic", description: "scripted", software: false },
      selfTest: { passed: true, relativeError: 0, detail: "" },
      origin: TEST_ORIGIN,
      nonce: challenge.nonce,
      run: null,
      ...parts,
    };
    const { coordinator } = challenge;
    const { origin, nonce, volunteer, protocol } = hello;
    const signature = this.identity.sign(SIGNING_DOMAINS.hello, { coordinator, origin, nonce, volunteer, protocol });
    return { ...hello, signature, ...lies };
  }

  hello(parts: Record<string, unknown> = {}): Promise<Result<Welcome>> {
    return this.say("hello", this.helloMessage(parts));
  }

  /** Connects and says hello; throws where that is refused. */
  async join(coordinator: Pick<CoordinatorApi, "connect">, parts: Record<string, unknown> = {}): Promise<Welcome> {
    return unwrap(await this.connect(coordinator).hello(parts));
  }

  requestLease(run: string | null = null, samplesPerSecond: number | null = null): Promise<Result<LeaseReply>> {
    return this.say("lease", { run, samplesPerSecond });
  }

  /** Throws where there is none. */
  async lease(run: string | null = null, samplesPerSecond: number | null = null): Promise<Assignment> {
    const reply = unwrap(await this.requestLease(run, samplesPerSecond));
    if (reply.kind === "none") throw new Error(`no lease: ${reply.reason}`);
    return reply.assignment;
  }

  /** An update drawn from the lease and this key's name; `lies` replace parts of the header before it is signed. */
  contribution(assignment: Assignment, lies: Partial<ContributionHeader> = {}, update?: Float32Array): PreparedContribution {
    const parameters = assignment.weights.sizeBytes / 4;
    const codec = codecNamed(assignment.codec);
    if (codec === undefined) throw new Error(`no codec ${assignment.codec}`);
    const values = update ?? scriptedUpdate(assignment, parameters);
    const encoded = codec.encode(values, { seed: 7, lease: leaseNumber(assignment.lease) });
    if (!encoded.ok) throw new Error(encoded.detail);
    return this.contributionOf(assignment, encoded.bytes, lies);
  }

  contributionOf(assignment: Assignment, bytes: Uint8Array, lies: Partial<ContributionHeader> = {}): PreparedContribution {
    const { run, lease, attempt, codec, samples, weights } = assignment;
    const header: ContributionHeader = {
      run,
      lease,
      attempt,
      volunteer: this.key,
      base: weights.sha256,
      codec,
      samples,
      lossMean: f32ToHex(1 / (1 + leaseNumber(lease))),
      computeMs: 10,
      sizeBytes: bytes.length,
      sha256: sha256(bytes),
      ...lies,
    };
    return { header, signature: this.identity.sign(SIGNING_DOMAINS.contribution, header), bytes };
  }

  open({ header, signature }: PreparedContribution): Promise<Result<{ readonly nextChunk: number }>> {
    return this.say("contribution", { header, signature });
  }

  chunk({ header, bytes }: PreparedContribution, index: number, lies: Record<string, unknown> = {}): Promise<Result<ChunkReply>> {
    const { run, lease, attempt } = header;
    const frame = encodeFrame({ run, lease, attempt, index, ...lies }, bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
    // A frame arrives somewhere in a bigger buffer.
    const pooled = new Uint8Array(frame.length + 13);
    pooled.set(frame, 13);
    return this.say("chunk", pooled.subarray(13));
  }

  /** Opens, sends every chunk from where the coordinator wants it, and gives the last answer. */
  async upload(contribution: PreparedContribution): Promise<Result<ChunkReply>> {
    const opened = await this.open(contribution);
    if (!opened.ok) return opened;
    const chunks = Math.ceil(contribution.bytes.length / CHUNK_BYTES);
    for (let index = opened.value.nextChunk; ; index += 1) {
      const reply = await this.chunk(contribution, index);
      if (!reply.ok || index >= chunks - 1) return reply;
    }
  }

  async contribute(assignment: Assignment): Promise<Result<ChunkReply>> {
    return this.upload(this.contribution(assignment));
  }
}

export function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

/** Small values, different for each lease, the same in every process. */
export function scriptedUpdate({ lease, start }: Pick<Assignment, "lease" | "start">, parameters: number): Float32Array {
  const stream = randomStream(leaseNumber(lease), start);
  return Float32Array.from({ length: parameters }, () => (stream.uniform() - 0.5) * 0.1);
}
