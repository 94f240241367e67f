// A browser tab with the real volunteer in it: its own clocks, timers that are throttled when it is hidden and stand still when it is
// frozen or its laptop sleeps, a device that can be lost, a store that can be full. Knows no coordinator but the lines to it.
import { refuse } from "@weft/protocol";
import { type BlobSource, type Clock, type Transport, Volunteer, type VolunteerEngine, volunteerClock } from "@weft/volunteer";
import type { Dice } from "./dice.ts";
import { type Host, hashOf } from "./host.ts";
import { HEARTBEAT_MS, type Place, SimLine, type Weather } from "./line.ts";
import { stubIdentity } from "./stub-identity.ts";
import { type DeviceKind, toyData, toyEngine } from "./toy-engine.ts";

export interface TabOptions {
  readonly host: Host;
  readonly name: string;
  readonly dice: Dice;
  readonly weather: Weather;
  readonly samplesPerSecond: number;
  readonly counted: () => void;
  /** Its devices are broken on purpose. */
  readonly tampered?: (inner: VolunteerEngine) => VolunteerEngine;
}

/** Lets hidden tabs' timers fire at most once a second. */
const HIDDEN_MS = 1_000;

export class Tab implements Place {
  readonly #options: TabOptions;
  readonly #dice: Dice;
  readonly #clock: Clock;
  readonly #queue: (() => void)[] = [];
  readonly #lines = new Set<SimLine>();
  #identity: string;
  #volunteer: Volunteer | null = null;
  /** Raised when the page goes: what it had under way does nothing more. */
  #page = 0;
  #isFrozen = false;
  #isHidden = false;
  /** Time in which the page's own high-resolution timer stood still. */
  #stoodStillMs = 0;
  #frozenAtMs = 0;
  #wallMs = 0;
  #losses = 0;
  #isQuotaExceeded = false;
  #device: DeviceKind = "webgpu";

  constructor(options: TabOptions) {
    this.#options = options;
    this.#dice = options.dice;
    this.#identity = options.name;
    this.#clock = this.#newClock();
  }

  get isOpen(): boolean {
    return this.#volunteer !== null;
  }
  get isFrozen(): boolean {
    return this.#isFrozen;
  }
  get volunteer(): Volunteer | null {
    return this.#volunteer;
  }
  get key(): string {
    return stubIdentity(this.#identity).publicKey;
  }

  // What the page's code stands on.

  run(then: () => void): void {
    if (this.#isFrozen) this.#queue.push(then);
    else then();
  }

  /** Of the page that is open now; a later page hears nothing of it. */
  after(ms: number, then: () => void): () => void {
    const page = this.#page;
    const { clock } = this.#options.host;
    // Timers are of whole milliseconds, and none is shorter than one.
    const wholeMs = Math.max(1, Math.ceil(ms));
    const atMs = clock.monotonicMs() + wholeMs;
    return clock.after(this.#isHidden ? wholeMs + (HIDDEN_MS - (atMs % HIDDEN_MS)) : wholeMs, () => {
      if (page === this.#page) this.run(() => page === this.#page && then());
    });
  }

  #newClock(): Clock {
    const { clock } = this.#options.host;
    return volunteerClock({
      wallMs: () => clock.monotonicMs() + this.#wallMs,
      elapsedMs: () => clock.monotonicMs() - this.#stoodStillMs,
      sleep: (ms) => new Promise((resolve) => this.after(ms, resolve)),
    });
  }

  // What happens to it.

  /** Opens the page and presses the button. */
  open(run: string | null = null): void {
    if (this.#volunteer !== null) return;
    const { name } = this.#options;
    const identity = stubIdentity(this.#identity);
    this.#volunteer = new Volunteer({
      identity: { volunteer: identity.publicKey, sign: (domain, value) => Promise.resolve(identity.sign(domain, value)) },
      createEngine: () => this.#createEngine(),
      data: () => toyData,
      blobs: this.#blobs(),
      hash: (bytes) => Promise.resolve(hashOf(bytes)),
      clock: this.#clock,
      transport: this.#transport(),
      origin: "http://localhost:8787",
      name: this.#dice.chance(0.3) ? name : null,
      effort: this.#dice.chance(0.2) ? this.#dice.between(0.2, 1) : 1,
      seed: this.#dice.whole(0, 0xffff_ffff),
    });
    this.#volunteer.start(run);
  }

  /** The page goes without a word: as a crash of the browser does, or a flat battery. */
  vanish(): void {
    this.#page += 1;
    this.#queue.length = 0;
    this.#isFrozen = false;
    this.#volunteer = null;
    // The machine closes the connections of a page that is gone; where it is gone itself, the heartbeat tells.
    for (const line of this.#lines) line.cut();
    this.#lines.clear();
  }

  /** The page goes with a goodbye, which may not arrive. */
  close(): void {
    void this.#volunteer?.stop();
    const page = this.#page;
    this.#options.host.clock.after(50, () => page === this.#page && this.vanish());
  }

  freeze(isTold: boolean): void {
    if (this.#isFrozen || this.#volunteer === null) return;
    if (isTold) this.#volunteer.hold("frozen");
    this.#isFrozen = true;
    const { clock } = this.#options.host;
    this.#frozenAtMs = clock.monotonicMs();
    const page = this.#page;
    // Without an answer to its heartbeat the coordinator gives the connection up.
    clock.after(HEARTBEAT_MS, () => {
      if (page === this.#page && this.#isFrozen && clock.monotonicMs() - this.#frozenAtMs >= HEARTBEAT_MS)
        for (const line of this.#lines) line.cut();
    });
  }
  /** `stoodStill`: the machine slept, and its high-resolution timer did not go on. */
  thaw(stoodStill: boolean): void {
    if (!this.#isFrozen) return;
    if (stoodStill) this.#stoodStillMs += this.#options.host.clock.monotonicMs() - this.#frozenAtMs;
    this.#isFrozen = false;
    for (const then of this.#queue.splice(0)) then();
    this.#volunteer?.unhold("frozen");
  }

  hide(isHidden: boolean): void {
    this.#isHidden = isHidden;
  }
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }
  /** The step that is under way fails, and so does every later one on this device. */
  loseDevice(next: DeviceKind): void {
    this.#losses += 1;
    this.#device = next;
  }
  /** While it is full no blob can be kept; a page that is opened then has no stored key. */
  fillStore(isFull: boolean): void {
    this.#isQuotaExceeded = isFull;
    if (isFull) this.#identity = `${this.#options.name} again ${this.#page}`;
  }

  #createEngine(): Promise<VolunteerEngine> {
    const made = this.#losses;
    const { samplesPerSecond } = this.#options;
    const speed = this.#device === "webgpu" ? samplesPerSecond : samplesPerSecond / 2;
    const engine = toyEngine(this.#device, speed, this.#clock, () => this.#losses > made);
    return Promise.resolve(this.#options.tampered?.(engine) ?? engine);
  }

  #blobs(): BlobSource {
    const { host, weather } = this.#options;
    return {
      get: async (sha256) => {
        const fate = weather("down");
        await this.#clock.sleep(fate === "cut" ? 100 : fate.delayMs);
        if (fate === "cut" || fate.copies === 0) throw new TypeError("network error");
        if (this.#isQuotaExceeded) throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
        const bytes = await host.blob(sha256);
        if (bytes === null) throw new Error("404");
        return bytes;
      },
    };
  }

  #transport(): Transport {
    const page = this.#page;
    return {
      connect: (handlers) => {
        if (page !== this.#page) return { request: () => Promise.resolve(refuse("unavailable", "gone")), close: () => undefined };
        const { host, weather, counted } = this.#options;
        for (const line of this.#lines) if (line.isOver) this.#lines.delete(line);
        const line = new SimLine({
          host,
          place: this,
          handlers,
          weather,
          address: `192.0.2.${this.#options.name.length}`,
          chance: () => this.#dice.next(),
          counted,
        });
        this.#lines.add(line);
        return line;
      },
    };
  }
}
