// One connection of a volunteer: the challenge, the signed hello, and a bound on how much it may say. What it says after the hello goes
// to the desk (desk.ts). Never throws, whatever arrives.

import { SIGNING_DOMAINS } from "@weft/ledger";
import {
  AssignmentRef,
  type Challenge,
  ChunkHeader,
  ContributionOpen,
  decodeFrame,
  Hello,
  LeaseRequest,
  Leave,
  MAX_SOCKET_MESSAGE_BYTES,
  ok,
  PROTOCOL_VERSION,
  Progress,
  type Refusal,
  type Result,
  refuse,
  type Welcome,
} from "@weft/protocol";
import type { CoordinatorOptions, VolunteerPort, VolunteerSession } from "./api.ts";
import type { Counters } from "./counters.ts";
import type { Desk } from "./desk.ts";
import { MAX_IN_FLIGHT, MAX_RATE_LIMITED, MAX_REFUSED_HELLOS, RATE_LIMITED_WINDOW_MS } from "./limits.ts";
import type { Member } from "./member.ts";
import { parseMessage } from "./parse.ts";
import type { TokenBucket } from "./token-bucket.ts";
import { WorkNotices } from "./work-notices.ts";

/** What a session asks of the coordinator around it. */
export interface SessionHost {
  readonly options: Pick<CoordinatorOptions, "key" | "verify" | "clock" | "origins" | "random">;
  readonly counters: Counters;
  readonly desk: Desk;
  isClosing(): boolean;
  isBlocked(volunteer: string): boolean;
  /** The hello held: this session now speaks for the volunteer, in place of an older one. */
  welcome(session: Session, member: Member): Promise<Welcome>;
  gone(session: Session, silentMs: number): void;
  /** A programming error in answering a message; the sender gets `internal`. */
  broken(event: string, error: unknown): void;
}

type SessionState =
  | { readonly kind: "challenged"; readonly nonce: string }
  /** A hello is being checked; its nonce is spent. */
  | { readonly kind: "checking" }
  | { readonly kind: "ready"; readonly member: Member }
  /** What is still on its way hears why. */
  | { readonly kind: "closed"; readonly why: Refusal };

const CLOSED = refuse("unavailable", "this connection is closed", 1_000);

const EVENTS = ["hello", "lease", "contribution", "chunk", "release", "progress", "leave"] as const;
type EventName = (typeof EVENTS)[number];
const isEvent = (event: string): event is EventName => (EVENTS as readonly string[]).includes(event);

export class Session implements VolunteerSession {
  readonly port: VolunteerPort;
  readonly openedMs: number;
  readonly #host: SessionHost;
  readonly #bucket: TokenBucket;
  readonly notices: WorkNotices;
  #state: SessionState = { kind: "closed", why: CLOSED };
  #inFlight = 0;
  #refusedHellos = 0;
  #rateLimited = 0;
  #rateLimitedSinceMs = 0;

  /** One connection too many of its address: its hello hears so. */
  readonly #isOver: boolean;

  constructor(host: SessionHost, port: VolunteerPort, bucket: TokenBucket, isOver: boolean) {
    this.#isOver = isOver;
    this.port = port;
    this.#host = host;
    this.#bucket = bucket;
    this.openedMs = host.options.clock.now();
    this.notices = new WorkNotices((notice) => port.send("work", notice));
  }

  get member(): Member | null {
    return this.#state.kind === "ready" ? this.#state.member : null;
  }

  get waitsForHello(): boolean {
    return this.#state.kind === "challenged" || this.#state.kind === "checking";
  }

  /** Sends a nonce that one hello may use. */
  challenge(): void {
    const nonce = this.#host.options.random();
    this.#state = { kind: "challenged", nonce };
    const challenge: Challenge = { nonce, coordinator: this.#host.options.key.publicKey, protocol: PROTOCOL_VERSION };
    this.port.send("challenge", challenge);
  }

  /** Ends the connection from this side. */
  end(why: Refusal = CLOSED): void {
    this.#state = { kind: "closed", why };
    this.port.close();
  }

  disconnected(silentMs = 0): void {
    // The host is told also of a session that it ended itself: its place at the address becomes free only now.
    this.#host.gone(this, silentMs);
    if (this.#state.kind !== "closed") this.#state = { kind: "closed", why: CLOSED };
  }

  async handle(event: string, message: unknown): Promise<Result<unknown>> {
    const { counters } = this.#host;
    const known = isEvent(event);
    counters.add(`messages.${known ? event : "unknown"}`);
    let reply: Result<unknown>;
    if (!known) reply = refuse("bad-message", "there is no such event");
    else
      try {
        reply = await this.#bounded(event, message);
      } catch (error) {
        this.#host.broken(event, error);
        reply = refuse("internal", "the coordinator failed at this message; it is logged there", 1_000);
      }
    if (!reply.ok) counters.add(`refused.${reply.code}`);
    return reply;
  }

  async #bounded(event: EventName, message: unknown): Promise<Result<unknown>> {
    if (this.#state.kind === "closed") return this.#state.why;
    const waitMs = this.#bucket.take(this.#host.options.clock.now());
    if (waitMs > 0) return this.#tooMany(refuse("rate-limited", "too many messages in a short time", waitMs));
    if (this.#inFlight >= MAX_IN_FLIGHT) return this.#tooMany(refuse("rate-limited", "too many messages wait for their answer", 200));
    this.#inFlight += 1;
    try {
      if (event === "hello") return await this.#hello(message);
      if (this.#state.kind !== "ready") return refuse("hello-first", "say hello before anything else");
      return await this.#working(event, message, this.#state.member);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Who goes on in spite of many such refusals does not read them: answers for ever would only pile up. */
  #tooMany(refusal: Refusal): Refusal {
    const nowMs = this.#host.options.clock.now();
    if (nowMs - this.#rateLimitedSinceMs >= RATE_LIMITED_WINDOW_MS) {
      this.#rateLimitedSinceMs = nowMs;
      this.#rateLimited = 0;
    }
    this.#rateLimited += 1;
    if (this.#rateLimited >= MAX_RATE_LIMITED) {
      this.#host.counters.add("sessions.ended-for-rate");
      this.end(refuse("rate-limited", "the connection was ended after too many messages", 5_000));
    }
    return refusal;
  }

  async #hello(message: unknown): Promise<Result<Welcome>> {
    if (this.#host.isClosing()) return refuse("unavailable", "the coordinator is stopping", 3_000);
    if (this.#isOver) return refuse("too-many-sessions", "too many connections come from this address", 10_000);
    const state = this.#state;
    if (state.kind !== "challenged") return refuse("bad-nonce", "a hello was already said on this connection");
    // An older page may send another shape: it must hear that it is old, not that its message is wrong.
    const protocol = (message as { protocol?: unknown } | null)?.protocol;
    if (typeof protocol === "number" && protocol !== PROTOCOL_VERSION)
      return refuse("protocol-version", `this coordinator speaks protocol ${PROTOCOL_VERSION}; reload the page to get it`);
    const parsed = parseMessage(Hello, message);
    if (!parsed.ok) return parsed;
    const hello = parsed.value;
    // From here on the nonce is spent, whatever comes of it.
    this.#state = { kind: "checking" };
    const refusal = await this.#checkHello(hello, state.nonce);
    // The connection may have gone, or been ended, while the signature was checked.
    if (this.#state.kind !== "checking") return CLOSED;
    if (refusal !== null) {
      this.#refusedHellos += 1;
      if (this.#refusedHellos < MAX_REFUSED_HELLOS) this.challenge();
      else this.end();
      return refusal;
    }
    const { volunteer, name, device, run } = hello;
    const member: Member = { volunteer, name, device, run, session: this };
    this.#state = { kind: "ready", member };
    return ok(await this.#host.welcome(this, member));
  }

  async #checkHello(hello: Hello, nonce: string): Promise<Result<never> | null> {
    const { options } = this.#host;
    const { volunteer, origin, protocol, signature, selfTest } = hello;
    if (hello.nonce !== nonce) return refuse("bad-nonce", "the nonce is not the one of this connection's challenge");
    const handshake = this.port.origin ?? null;
    if (options.origins?.(origin) === false || (handshake !== null && handshake !== origin))
      return refuse("bad-origin", "this coordinator does not serve that origin");
    if (!selfTest.passed) return refuse("self-test-failed", "the device computed wrong values in its self-test and is not used");
    const signed = { coordinator: options.key.publicKey, origin, nonce, volunteer, protocol };
    if (!(await options.verify(volunteer, SIGNING_DOMAINS.hello, signed, signature)))
      return refuse("bad-signature", "the hello is not signed by the key it names");
    if (this.#host.isBlocked(volunteer)) return refuse("blocked", "this volunteer is blocked by the run's administrator");
    return null;
  }

  async #working(event: Exclude<EventName, "hello">, message: unknown, member: Member): Promise<Result<unknown>> {
    const { desk } = this.#host;
    switch (event) {
      case "lease": {
        const request = parseMessage(LeaseRequest, message);
        return request.ok ? desk.lease(member, request.value) : request;
      }
      case "contribution": {
        const open = parseMessage(ContributionOpen, message);
        return open.ok ? desk.contribution(member, open.value) : open;
      }
      case "chunk": {
        if (!(message instanceof Uint8Array)) return refuse("bad-message", "a chunk is one binary message");
        if (message.length > MAX_SOCKET_MESSAGE_BYTES)
          return refuse("too-large", `a message has at most ${MAX_SOCKET_MESSAGE_BYTES} bytes`);
        const frame = decodeFrame(message);
        if (frame === null) return refuse("bad-message", "the frame's header is malformed");
        const header = parseMessage(ChunkHeader, frame.header);
        if (!header.ok) return header;
        const reply = await desk.chunk(member, header.value, frame.payload);
        // Chunks that are wanted are bounded by the lease, and their sender by its window: a fast line shall be used.
        if (reply.ok) this.#bucket.giveBack();
        return reply;
      }
      case "release": {
        const ref = parseMessage(AssignmentRef, message);
        return ref.ok ? desk.release(member, ref.value) : ref;
      }
      case "progress": {
        const progress = parseMessage(Progress, message);
        return progress.ok ? desk.progress(member, progress.value) : progress;
      }
      case "leave": {
        const leave = parseMessage(Leave, message);
        return leave.ok ? desk.leave(member) : leave;
      }
      default:
        return event satisfies never;
    }
  }
}
