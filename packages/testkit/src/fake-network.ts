// Connections between volunteers and a coordinator without sockets: messages take a time, may be lost with their connection, and
// binary ones arrive at an odd offset of a bigger buffer, as real sockets deliver them. All times are of the virtual clock.
import type { CoordinatorApi, VolunteerPort, VolunteerSession } from "@weft/coordinator";
import { refuse } from "@weft/protocol";
import type { Connection, Transport, TransportHandlers } from "@weft/volunteer";
import type { VirtualClock } from "./virtual-clock.ts";

export interface LineConditions {
  /** One way, for each message; asked each time. */
  readonly delayMs?: () => number;
  /** True: the connection breaks instead of carrying this message, in either direction. */
  readonly breaks?: (direction: "up" | "down", event: string) => boolean;
  readonly address?: string;
  readonly origin?: string | null;
}

/** A Buffer of Node's pool starts anywhere; a view of floats on it would throw. */
const PAD = 13;
const asDelivered = (message: unknown): unknown => {
  if (!(message instanceof Uint8Array)) return structuredClone(message);
  const pooled = new Uint8Array(PAD + message.length);
  pooled.set(message, PAD);
  return pooled.subarray(PAD);
};

/** One side is the coordinator's VolunteerPort, the other the volunteer's Connection. Messages of one direction never overtake each other. */
export class FakeSocketPair implements Connection {
  readonly #clock: VirtualClock;
  readonly #conditions: LineConditions;
  readonly #handlers: TransportHandlers;
  #session: VolunteerSession | null = null;
  #open = true;
  /** When the newest message of each direction arrives. */
  readonly #arrivesMs = { up: 0, down: 0 };
  readonly #pending = new Set<(answer: unknown) => void>();

  constructor(
    coordinator: () => Pick<CoordinatorApi, "connect"> | null,
    clock: VirtualClock,
    handlers: TransportHandlers,
    conditions: LineConditions = {},
  ) {
    this.#clock = clock;
    this.#handlers = handlers;
    this.#conditions = conditions;
    this.#carry("up", "connect", () => {
      const target = coordinator();
      if (target === null) {
        this.break("the coordinator is not there");
        return;
      }
      handlers.connected();
      this.#session = target.connect(this.#port());
    });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  request(event: string, message: unknown, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve) => {
      const answer = (value: unknown): void => {
        if (this.#pending.delete(answer)) resolve(value);
      };
      this.#pending.add(answer);
      if (!this.#open) {
        answer(refuse("unavailable", "the connection is closed"));
        return;
      }
      this.#clock.after(timeoutMs, () => answer(refuse("unavailable", `no answer within ${timeoutMs} ms`)));
      this.#carry("up", event, async () => {
        const reply = await this.#session?.handle(event, asDelivered(message));
        this.#carry("down", event, () => answer(structuredClone(reply)));
      });
    });
  }

  /** From the volunteer's side: its handlers hear nothing more. */
  close(): void {
    this.#end(false, "closed");
  }

  /** The line is cut: both sides notice. */
  break(reason = "the connection broke"): void {
    this.#end(true, reason);
  }

  #end(tellVolunteer: boolean, reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    for (const answer of [...this.#pending]) answer(refuse("unavailable", reason));
    this.#session?.disconnected();
    if (tellVolunteer) this.#handlers.disconnected(reason);
  }

  #port(): VolunteerPort {
    return {
      address: this.#conditions.address ?? "192.0.2.1",
      origin: this.#conditions.origin ?? null,
      send: (event: string, message: unknown) => this.#carry("down", event, () => this.#handlers.notice(event, structuredClone(message))),
      close: () => this.break("the coordinator closed the connection"),
    };
  }

  #carry(direction: "up" | "down", event: string, deliver: () => unknown): void {
    if (!this.#open) return;
    if (this.#conditions.breaks?.(direction, event) === true) {
      this.break();
      return;
    }
    const arrivesMs = Math.max(this.#arrivesMs[direction], this.#clock.now() + (this.#conditions.delayMs?.() ?? 0));
    this.#arrivesMs[direction] = arrivesMs;
    this.#clock.after(arrivesMs - this.#clock.now(), () => {
      if (this.#open) void deliver();
    });
  }
}

/** A volunteer's transport to whatever coordinator `coordinator` gives at the moment of connecting; null: nobody listens. */
export const fakeTransport = (
  coordinator: () => Pick<CoordinatorApi, "connect"> | null,
  clock: VirtualClock,
  conditions: LineConditions = {},
): Transport => ({ connect: (handlers) => new FakeSocketPair(coordinator, clock, handlers, conditions) });
