// One run of the bench: the coordinator's own state machine and closing of rounds, without sockets and disks, over volunteers in processes
// beside it. Time is made up (a lease takes as long as its draw says), gradients and bytes are real. Knows neither goals nor tables.
import { createHash } from "node:crypto";
import { initialWeights } from "@weft/models";
import { type BlobRef, type ContributionHeader, f32FromHex, f32ToHex, type LedgerEvent, type RunSpec } from "@weft/protocol";
import { type RandomStream, randomStream } from "@weft/tensors";
import { type AssignmentGiven, type CloseRound, decide, evolve, type Input, initialState, openRound, type RunState } from "@weft/training";
import { wasmMean } from "@weft/wasm/fold";
import { AnsweringProcess } from "../../support/child-processes.ts";
import { type LanguageRun, LEASE_MS, specOf, type VolunteerAnswer, type VolunteerOrder } from "./language-run.ts";
import { Timeline } from "./timeline.ts";

export interface Trained {
  /** Mean over held-out windows of the last weights; null where it is not finite. */
  readonly heldOut: number | null;
  readonly versions: number;
  /** It ended early: something was not finite. */
  readonly diverged: boolean;
  /** Lengths of the updates that were admitted, as they travel: without headers, frames and what a line adds. */
  readonly bytesUp: number;
  readonly contributions: number;
  /** How many of each codec. */
  readonly codecs: Readonly<Record<string, number>>;
  /** Windows counted in the last weights. */
  readonly windows: number;
  /** Assignments whose holder left. */
  readonly lost: number;
  /** Of the contributions counted, weighed alike. */
  readonly meanStaleness: number;
}

export type Device = AnsweringProcess<VolunteerOrder, VolunteerAnswer>;
export const startDevice = (): Device => new AnsweringProcess(new URL("./volunteer-process.ts", import.meta.url), "a volunteer's process");

/** How long nobody notices that somebody has left, and until another comes. */
const NOTICED_MS = 8_000;
/** A lease takes from half to one and a half of its time. */
const UNEVEN = 0.5;
const GLANCES = 10;
const SIGNATURE = "0".repeat(128);
const CODE = "bench";

/** `lent`: at least as many devices as the run has places; no others are used, so that sums are made of the same parts each time. */
export async function train(
  run: LanguageRun,
  lent: readonly Device[],
  dataFolder: string | null,
  say: (line: string) => void,
): Promise<Trained> {
  if (lent.length < run.places) throw new RangeError(`${lent.length} devices for ${run.places} places`);
  const devices = lent.slice(0, run.places);
  const { spec } = specOf(run);
  const ready = await Promise.all(devices.map((device) => device.ask({ kind: "begin", spec, dataFolder }, "ready")));
  return new TrainingRun(run, spec, devices, Math.min(...ready.map(({ heldOut }) => heldOut)), say).toTheEnd();
}

interface Place {
  readonly device: Device;
  volunteer: string;
  /** It holds a lease; or it has asked, and there was none. */
  busy: boolean;
  /** Tells its newest retry from those before. */
  asks: number;
}

interface Counted {
  readonly given: AssignmentGiven;
  readonly bytes: Uint8Array;
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const blobOf = (weights: Float32Array): BlobRef => ({
  sha256: hashOf(new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)),
  sizeBytes: weights.byteLength,
});

class TrainingRun {
  readonly #run: LanguageRun;
  readonly #spec: RunSpec;
  readonly #say: (line: string) => void;
  readonly #places: readonly Place[];
  readonly #heldOut: number;
  readonly #random: RandomStream;
  readonly #mean = wasmMean();
  readonly #timeline = new Timeline();
  /** By version: the newest, and those that somebody may still compute on. */
  readonly #weights = new Map<number, Float32Array>();
  #state: RunState;
  #optimizer: Uint8Array | null = null;
  #people = 0;
  /** Contributions that are in and in no version yet, by the hash of their bytes. */
  readonly #in = new Map<string, Counted>();
  #diverged = false;
  #lossMean: number | null = null;
  #bytesUp = 0;
  #contributions = 0;
  #windows = 0;
  #lost = 0;
  #stalenessSum = 0;
  #counted = 0;
  readonly #codecs: Record<string, number> = {};

  constructor(run: LanguageRun, spec: RunSpec, devices: readonly Device[], heldOut: number, say: (line: string) => void) {
    this.#run = run;
    this.#spec = spec;
    this.#say = say;
    this.#heldOut = heldOut;
    // Beside the numbers that the run itself draws.
    this.#random = randomStream(run.seed, 1, "general");
    const weights = initialWeights(run.setting.model, run.seed);
    this.#weights.set(0, weights);
    this.#state = initialState(
      {
        type: "run-created",
        run: "language",
        spec,
        dataset: { sha256: "0".repeat(64), sizeBytes: 1 },
        weights: blobOf(weights),
        parameters: weights.length,
        coordinator: "0".repeat(64),
        code: CODE,
        origin: null,
      },
      0,
    );
    this.#places = devices.map((device) => ({ device, volunteer: "", busy: false, asks: 0 }));
  }

  async toTheEnd(): Promise<Trained> {
    await this.#decide({ kind: "tick" });
    for (const place of this.#places) await this.#join(place);
    for (const place of this.#places) await this.#askFor(place);
    while (!this.#over && (await this.#timeline.next()));
    if (!this.#over) throw new Error(`nothing moves any more at version ${this.#state.version}`);
    const last = this.#newest();
    const heldOut = await this.#evaluate(last, this.#run.setting.heldOut);
    return {
      heldOut: Number.isFinite(heldOut) ? heldOut : null,
      versions: this.#state.version,
      diverged: this.#diverged,
      bytesUp: this.#bytesUp,
      contributions: this.#contributions,
      codecs: this.#codecs,
      windows: this.#windows,
      lost: this.#lost,
      meanStaleness: this.#counted === 0 ? 0 : this.#stalenessSum / this.#counted,
    };
  }

  get #over(): boolean {
    return this.#diverged || this.#state.phase === "finished";
  }

  async #join(place: Place): Promise<void> {
    this.#people += 1;
    place.volunteer = this.#people.toString(16).padStart(64, "0");
    place.busy = false;
    const device = { backend: "wasm", description: "bench", software: false } as const;
    await this.#decide({ kind: "join", volunteer: place.volunteer, name: null, device });
  }

  async #askFor(place: Place): Promise<void> {
    if (place.busy || this.#over) return;
    place.asks += 1;
    await this.#decide({ kind: "request-lease", volunteer: place.volunteer, samplesPerSecond: null });
  }

  /** Stores what is decided, then does it. */
  async #decide(input: Input): Promise<readonly LedgerEvent[]> {
    const { nowMs } = this.#timeline;
    const { events, effects } = decide(this.#state, input, nowMs);
    for (const event of events) this.#fold(event);
    for (const effect of effects) {
      if (this.#over) break;
      switch (effect.kind) {
        case "assign":
          this.#begin(effect.assignment);
          break;
        case "no-lease": {
          const place = this.#placeOf(effect.volunteer);
          const asks = place?.asks;
          if (place !== undefined)
            this.#timeline.at(nowMs + effect.retryAfterMs, () => (place.asks === asks ? this.#askFor(place) : Promise.resolve()));
          break;
        }
        case "verdict": {
          const place = this.#placeOf(effect.volunteer);
          await place?.device.ask({ kind: "verdict", admitted: effect.verdict.ok }, "settled");
          break;
        }
        case "close-round":
          await this.#close(effect.round);
          break;
        case "announce":
          // Whoever has nothing to do asks again, but not in the middle of what is being decided.
          this.#timeline.at(nowMs, async () => {
            for (const place of this.#places) await this.#askFor(place);
          });
          break;
        case "revoke":
        case "evaluate":
        case "checkpoint":
          break;
        default:
          effect satisfies never;
      }
    }
    return events;
  }

  #fold(event: LedgerEvent): void {
    this.#state = evolve(this.#state, event, this.#timeline.nowMs);
    if (event.type === "version-published") this.#windows += event.samples;
    if (event.type !== "contribution-admitted") return;
    const { codec, sizeBytes } = event.header;
    this.#contributions += 1;
    this.#bytesUp += sizeBytes;
    this.#codecs[codec] = (this.#codecs[codec] ?? 0) + 1;
  }

  #placeOf(volunteer: string): Place | undefined {
    return this.#places.find((place) => place.volunteer === volunteer);
  }

  /** The work begins at once, so that places compute beside one another; when it is over is a matter of made-up time. */
  #begin(given: AssignmentGiven): void {
    const place = this.#placeOf(given.volunteer);
    if (place === undefined) throw new Error(`nobody is ${given.volunteer}`);
    place.busy = true;
    const { nowMs } = this.#timeline;
    const lastsMs = Math.round(LEASE_MS * (1 - UNEVEN + 2 * UNEVEN * this.#random.uniform()));
    const lostAt = this.#random.uniform();
    const leavesAfter = this.#random.uniform();
    if (lostAt < this.#run.lost) {
      this.#lost += 1;
      this.#timeline.at(nowMs + Math.round(leavesAfter * lastsMs) + NOTICED_MS, () => this.#replace(place));
      return;
    }
    const { way } = this.#run;
    const behind = way.kind === "gradient" ? way.behind : 0;
    const weights = this.#weights.get(Math.max(0, given.version - behind));
    if (weights === undefined) throw new Error(`the weights of version ${given.version} are gone`);
    const answer = place.device.ask(
      {
        kind: "work",
        volunteer: given.volunteer,
        lease: given.lease,
        start: given.start,
        samples: given.samples,
        codec: given.codec,
        learningRate: given.learningRate === undefined ? null : f32FromHex(given.learningRate),
        weights,
      },
      "contribution",
    );
    // Where the run ends before its turn comes, its failure is of no interest.
    answer.catch(() => undefined);
    this.#timeline.at(nowMs + lastsMs, async () => {
      const { bytes, lossMean } = await answer;
      place.busy = false;
      if (bytes === null || !Number.isFinite(lossMean)) this.#diverged = true;
      else await this.#contribute(given, bytes, lossMean);
      await this.#askFor(place);
    });
  }

  async #replace(place: Place): Promise<void> {
    await this.#decide({ kind: "leave", volunteer: place.volunteer, reason: "silent" });
    await this.#join(place);
    await this.#askFor(place);
  }

  async #contribute(given: AssignmentGiven, bytes: Uint8Array, lossMean: number): Promise<void> {
    const header: ContributionHeader = {
      run: this.#state.run,
      lease: given.lease,
      attempt: given.attempt,
      volunteer: given.volunteer,
      base: given.weights.sha256,
      codec: given.codec,
      samples: given.samples,
      lossMean: f32ToHex(lossMean),
      computeMs: 0,
      sizeBytes: bytes.length,
      sha256: hashOf(bytes),
    };
    this.#in.set(header.sha256, { given, bytes });
    const events = await this.#decide({ kind: "contribution", header, signature: SIGNATURE, norm: 0 });
    if (!events.some(({ type }) => type === "contribution-admitted")) this.#in.delete(header.sha256);
  }

  async #close(round: CloseRound): Promise<void> {
    const { base, steps, learningRate } = round;
    const weights = this.#weights.get(base);
    if (weights === undefined) throw new Error(`the weights of version ${base} are gone`);
    const open = openRound({ spec: this.#spec, weights, steps, optimizer: this.#optimizer, learningRate }, this.#mean);
    for (const contribution of round.contributions) {
      const counted = this.#in.get(contribution.sha256);
      if (counted === undefined) throw new Error(`the bytes of lease ${contribution.lease} are gone`);
      this.#in.delete(contribution.sha256);
      this.#stalenessSum += base - counted.given.version;
      this.#counted += 1;
      const added = open.add({ ...contribution, bytes: counted.bytes });
      if (!added.ok) throw new Error(added.message);
    }
    const closed = open.close();
    if (!closed.ok && closed.code === "not-finite") {
      this.#diverged = true;
      return;
    }
    if (!closed.ok) throw new Error(closed.message);
    const { norm, lossMean } = closed.value;
    this.#weights.set(base + 1, closed.value.weights);
    this.#forget(base + 1);
    this.#optimizer = closed.value.optimizer;
    this.#lossMean = lossMean;
    const { optimizer } = closed.value;
    await this.#decide({
      kind: "closed",
      base,
      weights: blobOf(closed.value.weights),
      optimizer: { sha256: hashOf(optimizer), sizeBytes: optimizer.length },
      norm,
      lossMean: lossMean ?? Number.NaN,
    });
    await this.#tell();
  }

  /** What is behind by more than the row's own lag: leases are begun on weights when they are given. */
  #forget(newest: number): void {
    const { way } = this.#run;
    const keep = way.kind === "gradient" ? way.behind : 0;
    for (const version of this.#weights.keys()) if (version < newest - keep) this.#weights.delete(version);
  }

  #newest(): Float32Array {
    const weights = this.#weights.get(this.#state.version);
    if (weights === undefined) throw new Error(`the weights of version ${this.#state.version} are gone`);
    return weights;
  }

  async #tell(): Promise<void> {
    const { version } = this.#state;
    const every = Math.ceil(this.#run.versions / GLANCES);
    if (version % every !== 0) return;
    const loss = await this.#evaluate(this.#newest(), this.#run.setting.glance);
    this.#say(
      `  version ${version} of ${this.#run.versions}: loss ${this.#lossMean?.toFixed(4)}, held out ${loss.toFixed(4)} (${this.#run.setting.glance} windows)`,
    );
  }

  /** Mean loss over so many held-out windows, in parts by all devices. */
  async #evaluate(weights: Float32Array, windows: number): Promise<number> {
    const of = Math.min(windows, this.#heldOut);
    const parts = this.#places.length;
    const scores = await Promise.all(
      this.#places.map(({ device }, at) => {
        const from = Math.floor((at * of) / parts);
        const to = Math.floor(((at + 1) * of) / parts);
        return device.ask({ kind: "evaluate", weights, from, to, of }, "score");
      }),
    );
    return scores.reduce((sum, { lossSum }) => sum + lossSum, 0) / of;
  }
}
