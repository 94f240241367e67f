// Many volunteers in one process, over real sockets: the real state machine, with speeds, latencies and drop-outs from a seed. It is the load
// tool and the test tool. Always ends: at its duration, or when no volunteer is left.
import { createHash } from "node:crypto";
import { volunteerData } from "@weft/datasets";
import { createEngine } from "@weft/engine";
import { createIdentity } from "@weft/ledger";
import { drawSample, visitedSample } from "@weft/training";
import { type BlobSource, cachedBlobs, httpBlobs, socketTransport, systemClock, Volunteer, type VolunteerEngine } from "@weft/volunteer";
import { io } from "socket.io-client";
import { sharedEngine, syntheticData, syntheticEngine } from "./swarm-engines.ts";
import { noCounts, type SwarmCounts, swarmTransport } from "./swarm-transport.ts";

export { syntheticData };

export interface SwarmOptions {
  /** Origin of the coordinator. */
  readonly url: string;
  readonly volunteers: number;
  /** Noise instead of gradients. */
  readonly synthetic: boolean;
  readonly seed: number;
  readonly durationMs: number;
  /** Samples a second of each volunteer: lognormal about the median with this sigma of the logarithm; 0: all alike. */
  readonly speeds: { readonly median: number; readonly sigma: number };
  /** Probability that a volunteer vanishes during a lease, without a goodbye; it comes back after one to five seconds. */
  readonly dropOuts: number;
  /** Median round trip added to every message; each volunteer has its own, from half to one and a half of it. */
  readonly latencyMs: number;
  /** Null: whatever run the coordinator has. */
  readonly run: string | null;
  /** Once a second. */
  readonly onProgress?: (report: SwarmReport) => void;
  /** Ends the swarm early, with its goodbyes. */
  readonly signal?: AbortSignal;
}
export interface SwarmReport {
  readonly url: string;
  readonly seed: number;
  readonly volunteers: number;
  readonly durationMs: number;
  readonly connections: number;
  readonly leases: number;
  readonly admitted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly dropOuts: number;
  /** Counted in admitted contributions. */
  readonly samples: number;
  readonly samplesPerSecond: number;
  readonly bytesUp: number;
  /** Fetched by the swarm as a whole: its volunteers share one cache, as behind a CDN. */
  readonly bytesDown: number;
  /** Volunteers by the state in which they were at the end. */
  readonly states: Readonly<Record<string, number>>;
}

const CACHE_BYTES = 256 * 1024 * 1024;
/** Hellos are spread over this long, at most. */
const RAMP_MS = 2_000;
/** Goodbyes may take this long. */
const GOODBYE_MS = 3_000;

/** Uniform in [0, 1), mulberry32: a stream of its own for each volunteer, so that one's luck does not depend on another's timing. */
export function swarmRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
/** Standard normal by Box and Muller. */
const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** One hash for each array, however many volunteers look at it. */
function sharedHash(): (bytes: Uint8Array) => Promise<string> {
  const known = new WeakMap<Uint8Array, string>();
  return async (bytes) => {
    const hash = known.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
    known.set(bytes, hash);
    return hash;
  };
}

interface Shared {
  readonly options: SwarmOptions;
  readonly blobs: BlobSource;
  readonly hash: (bytes: Uint8Array) => Promise<string>;
  readonly engineOf: (samplesPerSecond: number) => VolunteerEngine;
  readonly counts: SwarmCounts;
  dropOuts: number;
  ending: boolean;
}

/** One simulated volunteer, through all its drop-outs. Resolves when it is over. */
class Member {
  readonly #shared: Shared;
  readonly #random: () => number;
  readonly #speed: number;
  readonly #latencyMs: number;
  readonly #identity;
  #volunteer: Volunteer | null = null;
  readonly over: Promise<void>;
  #end: () => void = () => {};

  constructor(shared: Shared, index: number) {
    const { options } = shared;
    this.#shared = shared;
    this.#random = swarmRandom(Math.imul(options.seed, 0x9e37_79b1) + index);
    this.#speed = options.speeds.median * Math.exp(options.speeds.sigma * normal(this.#random));
    this.#latencyMs = options.latencyMs * (0.5 + this.#random());
    const { publicKey, sign } = createIdentity(createHash("sha256").update(`weft-swarm ${options.seed} ${index}`).digest());
    this.#identity = { volunteer: publicKey, sign: async (domain: string, value: unknown) => sign(domain, value) };
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get state(): string {
    return this.#volunteer?.snapshot().status.state ?? "away";
  }

  async enter(afterMs: number): Promise<void> {
    await systemClock.sleep(afterMs);
    if (this.#shared.ending) return;
    const { options, blobs, hash, engineOf, counts } = this.#shared;
    const transport = swarmTransport(socketTransport(options.url, io), this.#latencyMs, counts);
    const volunteer = new Volunteer({
      identity: this.#identity,
      createEngine: async () => engineOf(this.#speed),
      data: (checked) => (options.synthetic ? syntheticData : volunteerData({ blobs: checked, draw: drawSample, visit: visitedSample })),
      blobs,
      hash,
      clock: systemClock,
      transport,
      origin: options.url,
      seed: Math.floor(this.#random() * 4_294_967_296),
    });
    this.#volunteer = volunteer;
    let seen = "";
    const unsubscribe = volunteer.subscribe(({ status, lease }) => {
      if (status.state === "stopped" || status.state === "refused" || status.state === "unfit") this.#end();
      const key = lease === null ? "" : `${lease.run} ${lease.lease}`;
      if (lease?.phase !== "computing" || key === seen) return;
      seen = key;
      if (this.#random() < options.dropOuts) void vanish();
    });
    const vanish = async (): Promise<void> => {
      await systemClock.sleep(500 * this.#random());
      if (this.#shared.ending || this.#volunteer !== volunteer) return;
      unsubscribe();
      this.#shared.dropOuts += 1;
      this.#volunteer = null;
      transport.vanish();
      await volunteer.stop();
      await this.enter(1_000 + 4_000 * this.#random());
    };
    volunteer.start(options.run);
  }

  async leave(): Promise<void> {
    await this.#volunteer?.stop();
  }
}

async function engines({ synthetic }: SwarmOptions): Promise<{ of: Shared["engineOf"]; dispose: () => void }> {
  if (synthetic) return { of: syntheticEngine, dispose: () => {} };
  const engine = await createEngine({ preference: "auto", allowSoftwareGpu: false });
  const shared = sharedEngine(engine);
  return { of: (speed) => shared.volunteerEngine(speed), dispose: () => engine.dispose() };
}

/** Rejects only where no engine can be made; an absent coordinator shows in the report. */
export async function runSwarm(options: SwarmOptions): Promise<SwarmReport> {
  let bytesDown = 0;
  const http = httpBlobs(options.url);
  const counting: BlobSource = {
    async get(sha256, sizeBytes) {
      const bytes = await http.get(sha256, sizeBytes);
      bytesDown += bytes.length;
      return bytes;
    },
  };
  const { of, dispose } = await engines(options);
  const shared: Shared = {
    options,
    blobs: cachedBlobs(counting, CACHE_BYTES),
    hash: sharedHash(),
    engineOf: of,
    counts: noCounts(),
    dropOuts: 0,
    ending: false,
  };
  const beganMs = systemClock.now();
  const members = Array.from({ length: options.volunteers }, (_, index) => new Member(shared, index));
  const report = (): SwarmReport => {
    const { counts, dropOuts } = shared;
    const durationMs = systemClock.now() - beganMs;
    const states: Record<string, number> = {};
    for (const { state } of members) states[state] = (states[state] ?? 0) + 1;
    return {
      url: options.url,
      seed: options.seed,
      volunteers: options.volunteers,
      durationMs,
      connections: counts.connections,
      leases: counts.leases,
      admitted: counts.admitted,
      refused: { ...counts.refused },
      dropOuts,
      samples: counts.samplesAdmitted,
      samplesPerSecond: (1000 * counts.samplesAdmitted) / Math.max(1, durationMs),
      bytesUp: counts.bytesUp,
      bytesDown,
      states,
    };
  };
  const progress = setInterval(() => options.onProgress?.(report()), 1_000);
  const spreadMs = Math.min(RAMP_MS, 10 * options.volunteers);
  for (const [index, member] of members.entries()) void member.enter((spreadMs * index) / Math.max(1, options.volunteers));
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, options.durationMs);
    options.signal?.addEventListener("abort", () => resolve(), { once: true });
    if (options.signal?.aborted === true) resolve();
  });
  await Promise.race([ended, Promise.all(members.map(({ over }) => over))]);
  clearTimeout(timer);
  clearInterval(progress);
  const last = report();
  shared.ending = true;
  await Promise.race([Promise.all(members.map((member) => member.leave())), systemClock.sleep(GOODBYE_MS)]);
  dispose();
  return last;
}
