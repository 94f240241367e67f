// A connection that misbehaves: each message may be lost, late, overtaken, doubled, or the last one; either end may take its time to notice
// that the other is gone. The volunteer's end lives in a tab, which may be frozen; the coordinator's in a process, which may die.
import type { VolunteerPort, VolunteerSession } from "@weft/coordinator";
import { PING_INTERVAL_MS, PING_TIMEOUT_MS, refuse } from "@weft/protocol";
import type { Connection, TransportHandlers } from "@weft/volunteer";
import type { Host } from "./host.ts";

export type Direction = "up" | "down";
export interface Fate {
  /** 0: lost. */
  readonly copies: 0 | 1 | 2;
  readonly delayMs: number;
  readonly overtakes: boolean;
}
/** What becomes of the next message; "cut": the line breaks instead. */
export type Weather = (direction: Direction) => Fate | "cut";

/** Where the volunteer's end runs. */
export interface Place {
  /** At once, or when the tab is thawed. */
  run(then: () => void): void;
  after(ms: number, then: () => void): () => void;
}

export interface LineOptions {
  readonly host: Host;
  readonly place: Place;
  readonly handlers: TransportHandlers;
  readonly weather: Weather;
  readonly address: string;
  /** Uniform in [0, 1). */
  readonly chance: () => number;
  /** One more message has arrived. */
  readonly counted: () => void;
}

/** Silence that long is the end of a connection. */
export const HEARTBEAT_MS = PING_INTERVAL_MS + PING_TIMEOUT_MS;
/** Nobody answers at the other end: as socket-transport.ts waits. */
const CONNECT_MS = 10_000;

/** A Buffer of Node's pool starts anywhere; a view of floats on it would throw. */
const PAD = 13;
const asDelivered = (message: unknown): unknown => {
  if (!(message instanceof Uint8Array)) return message;
  const pooled = new Uint8Array(PAD + message.length);
  pooled.set(message, PAD);
  return pooled.subarray(PAD);
};

export class SimLine implements Connection {
  readonly #options: LineOptions;
  readonly #pending = new Set<(answer: unknown) => void>();
  /** When the newest message of each direction arrives. */
  readonly #arrivesMs = { up: 0, down: 0 };
  #openMs = 0;
  #session: VolunteerSession | null = null;
  /** Nothing gets through any more. */
  #isCut = false;
  /** The volunteer's end knows, or has closed it. */
  #isOver = false;
  #forget: () => void = () => undefined;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#carry("up", () => this.#connect());
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  request(event: string, message: unknown, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve) => {
      if (this.#isOver) {
        resolve(refuse("unavailable", "the connection is closed"));
        return;
      }
      const answer = (value: unknown): void => {
        if (!this.#pending.delete(answer)) return;
        cancel();
        resolve(value);
      };
      this.#pending.add(answer);
      const cancel = this.#options.place.after(timeoutMs, () => answer(refuse("unavailable", `no answer within ${timeoutMs} ms`)));
      this.#carry("up", () => {
        const session = this.#session;
        if (session === null) return;
        void session.handle(event, asDelivered(message)).then((reply) => this.#carry("down", () => answer(reply)));
      });
    });
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failPending("closed");
    // Its last words go first; the coordinator hears of the end as of any other message, unless the line is cut.
    if (this.#isCut) return;
    const { clock } = this.#options.host;
    const atMs = Math.max(this.#arrivesMs.up, clock.monotonicMs() + 1);
    clock.after(atMs - clock.monotonicMs(), () => this.#endOfHost());
  }

  /** Cut in the middle: each end notices when it does, at the latest after a heartbeat. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    const { host, place, chance } = this.#options;
    const noticeMs = (): number => (chance() < 0.5 ? 1 : chance() * HEARTBEAT_MS);
    host.clock.after(noticeMs(), () => this.#endOfHost());
    place.after(noticeMs(), () => this.#endOfVolunteer("the connection broke"));
  }

  #connect(): void {
    const { host, place, handlers, address } = this.#options;
    const { listener } = host;
    if (listener === null) {
      // Without a process the machine refuses at once; without a machine nobody answers.
      place.after(host.isUp ? 20 : CONNECT_MS * this.#options.chance(), () => this.#endOfVolunteer("nobody listens"));
      return;
    }
    const hostEnds = (ending: "killed" | "power-cut"): void => {
      this.#isCut = true;
      this.#session = null;
      this.#forget();
      const noticeMs = ending === "killed" ? 20 : HEARTBEAT_MS * this.#options.chance();
      place.after(noticeMs, () => this.#endOfVolunteer("the coordinator is gone"));
    };
    listener.onEnd.add(hostEnds);
    this.#forget = () => listener.onEnd.delete(hostEnds);
    this.#carry("down", () => handlers.connected(), true);
    this.#openMs = this.#arrivesMs.down;
    const port: VolunteerPort = {
      address,
      origin: null,
      send: (event: string, message: unknown) => this.#carry("down", () => handlers.notice(event, message)),
      close: () => {
        host.clock.after(0, () => this.#endOfHost());
        if (!this.#isCut) this.#carry("down", () => this.#endOfVolunteer("the coordinator closed the connection"), true);
      },
    };
    this.#session = listener.connect(port);
  }

  #endOfHost(): void {
    const session = this.#session;
    this.#session = null;
    this.#forget();
    session?.disconnected();
  }

  #endOfVolunteer(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failPending(reason);
    this.#options.handlers.disconnected(reason);
  }

  #failPending(reason: string): void {
    for (const answer of [...this.#pending]) answer(refuse("unavailable", reason));
  }

  /** `isSure`: the transport's own signals, which are neither lost nor doubled. */
  #carry(direction: Direction, deliver: () => void, isSure = false): void {
    if (this.#isCut || (direction === "up" && this.#isOver)) return;
    const { host, weather } = this.#options;
    const drawn = weather(direction);
    if (drawn === "cut" && !isSure) {
      this.cut();
      return;
    }
    const { copies, delayMs, overtakes } = drawn === "cut" ? { copies: 1, delayMs: 1, overtakes: false } : drawn;
    const nowMs = host.clock.monotonicMs();
    for (let copy = 0; copy < (isSure ? 1 : copies); copy += 1) {
      const wantedMs = nowMs + delayMs * (1 + copy);
      const mayOvertake = overtakes && !isSure;
      // Nothing arrives at a volunteer before the connection itself.
      const arrivesMs = Math.max(wantedMs, mayOvertake ? this.#openMs : this.#arrivesMs[direction]);
      if (!mayOvertake) this.#arrivesMs[direction] = arrivesMs;
      host.clock.after(arrivesMs - nowMs, () => this.#arrive(direction, deliver));
    }
  }

  #arrive(direction: Direction, deliver: () => void): void {
    if (this.#isCut) return;
    const { host, place, counted } = this.#options;
    if (direction === "down") {
      place.run(() => {
        if (this.#isOver) return;
        counted();
        deliver();
      });
      return;
    }
    const { stalledMs } = host;
    if (stalledMs > 0) {
      host.clock.after(stalledMs, () => this.#arrive(direction, deliver));
      return;
    }
    counted();
    deliver();
  }
}
