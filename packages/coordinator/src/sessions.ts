// Who is connected: one session speaks for a volunteer, a bounded number comes from one address, and who is gone is given a moment to return.
// Knows nothing of runs.
import { type Refusal, refuse } from "@weft/protocol";
import type { CoordinatorLimits, VolunteerPort, VolunteerSession } from "./api.ts";
import type { Member } from "./member.ts";
import { Session, type SessionHost } from "./session.ts";
import { TokenBucket } from "./token-bucket.ts";

const GOODBYE = refuse("unavailable", "goodbye was said for this connection");

export class Sessions {
  readonly #host: SessionHost;
  readonly #limits: CoordinatorLimits;
  /** A volunteer's grace is over. */
  readonly #silent: (volunteer: string) => void;
  readonly #open = new Set<Session>();
  readonly #perAddress = new Map<string, number>();
  readonly #members = new Map<string, Member>();
  readonly #speaksFor = new Map<Session, { readonly volunteer: string; readonly farewell: string }>();
  readonly #byFarewell = new Map<string, Session>();
  /** Volunteers without a session, and until when they may return as if nothing had been. */
  readonly #departing = new Map<string, number>();

  constructor(host: SessionHost, limits: CoordinatorLimits, silent: (volunteer: string) => void) {
    this.#host = host;
    this.#limits = limits;
    this.#silent = silent;
  }

  connect(port: VolunteerPort): VolunteerSession {
    const count = this.#perAddress.get(port.address) ?? 0;
    // Beyond the cap a connection is counted and challenged like any other, so that its hello hears why; far beyond it just ends.
    const isOver = count >= this.#limits.sessionsPerAddress;
    const { messagesPerSecond, messageBurst } = this.#limits;
    const bucket = new TokenBucket(messagesPerSecond, messageBurst, this.#host.options.clock.now());
    const session = new Session(this.#host, port, bucket, isOver);
    if (isOver) this.#host.counters.add("sessions.turned-away");
    this.#open.add(session);
    this.#perAddress.set(port.address, count + 1);
    if (count >= 2 * this.#limits.sessionsPerAddress) session.end();
    else session.challenge();
    return session;
  }

  /**
   * The hello held. A newer session takes over from an older one of the same key, whose connection may be dead without knowing it.
   * Gives the word with which this session can be ended from outside its connection.
   */
  ready(session: Session, member: Member): string {
    const older = this.#members.get(member.volunteer)?.session;
    const farewell = this.#host.options.random();
    this.#members.set(member.volunteer, member);
    this.#speaksFor.set(session, { volunteer: member.volunteer, farewell });
    this.#byFarewell.set(farewell, session);
    this.#departing.delete(member.volunteer);
    if (older !== undefined && older !== session) older.end();
    return farewell;
  }

  /** Ends the session that was given this word; null where there is none, or where a newer one speaks for its volunteer. */
  farewell(word: string): Member | null {
    const session = this.#byFarewell.get(word);
    const volunteer = session === undefined ? undefined : this.#speaksFor.get(session)?.volunteer;
    const member = this.#members.get(volunteer ?? "");
    if (session === undefined || member?.session !== session) return null;
    session.end(GOODBYE);
    return member;
  }

  gone(session: Session, silentMs: number): void {
    if (!this.#open.delete(session)) return;
    const left = (this.#perAddress.get(session.port.address) ?? 1) - 1;
    if (left > 0) this.#perAddress.set(session.port.address, left);
    else this.#perAddress.delete(session.port.address);
    const spoke = this.#speaksFor.get(session);
    if (spoke === undefined) return;
    this.#speaksFor.delete(session);
    this.#byFarewell.delete(spoke.farewell);
    const { volunteer } = spoke;
    if (this.#members.get(volunteer)?.session !== session) return;
    this.#members.delete(volunteer);
    const graceMs = Math.max(0, this.#limits.reconnectGraceMs - silentMs);
    this.#departing.set(volunteer, this.#host.options.clock.now() + graceMs);
  }

  tick(): void {
    const nowMs = this.#host.options.clock.now();
    for (const [volunteer, untilMs] of this.#departing)
      if (untilMs <= nowMs) {
        this.#departing.delete(volunteer);
        this.#silent(volunteer);
      }
    for (const session of this.#open) if (session.waitsForHello && session.openedMs + this.#limits.helloMs <= nowMs) session.end();
    for (const { session } of this.#members.values()) session.notices.flush(nowMs);
  }

  of(volunteer: string): Session | undefined {
    return this.#members.get(volunteer)?.session;
  }
  members(): Iterable<Member> {
    return this.#members.values();
  }
  /** Connections, also of those that have not said hello. */
  get connections(): number {
    return this.#open.size;
  }
  get volunteers(): number {
    return this.#members.size;
  }

  endOf(volunteer: string, why: Refusal): void {
    this.of(volunteer)?.end(why);
  }
  endAll(): void {
    for (const session of this.#open) session.end();
  }
}
