// Half of the assignments abandoned and a third of the answers late, against a calm run: the same versions, the same loss, and how much of what
// was computed was of use. The real coordinator core on a virtual clock, handwritten digits, real gradients; only time and lines are made up.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { DatasetLookup } from "@weft/coordinator";
import { datasetCatalog, datasetReader, evenlySpread, volunteerData } from "@weft/datasets";
import { canonicalBytes } from "@weft/ledger";
import { type Assignment, CHUNK_BYTES, type DatasetManifest, f32FromHex, f32ToHex, type RunSpec } from "@weft/protocol";
import { folderFiles, MemoryDisk, memoryStorage, type Storage } from "@weft/storage";
import { f32FromBytes, type RandomStream, randomStream } from "@weft/tensors";
import { mlpStep, ScriptedVolunteer, TestCoordinator } from "@weft/testkit";
import { drawSample, visitedSample } from "@weft/training";
import type { BenchContext, Row } from "../../bench.ts";

/** Of what a volunteer does with an assignment. */
const ABANDONED = 0.5;
/** Of its answers. */
const LATE = 0.3;
/** Of the late ones: a line that breaks while it sends and comes back too late; the others send slowly to their end. */
const INTERRUPTED = 1 / 3;
/** Of the abandoned ones: without a goodbye. */
const VANISHED = 0.5;
/** Ping interval and timeout: when the coordinator is told by its transport that nobody is there. */
const NOTICED_MS = 13_000;
const SILENT_MS = 8_000;
const VOLUNTEERS = 12;
const SAMPLES_PER_SECOND = 3;
const SEEDS = 5;

export interface ChurnSize {
  readonly versions: number;
  readonly seeds: number;
}
const FULL: ChurnSize = { versions: 30, seeds: SEEDS };
const SHORT: ChurnSize = { versions: 8, seeds: 1 };

/** An update of four chunks, so that an answer can be on its way for a while; leases and deadlines are those of the demonstration's run. */
const churnRun = (seed: number, versions: number): RunSpec & { readonly model: { readonly kind: "mlp" } } => ({
  format: "weft-run/1",
  name: "churn",
  description: "Handwritten digits, for the bench of churn",
  license: "Apache-2.0",
  seed,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [3_000], classes: 10 },
  training: {
    mode: "gradient",
    versions,
    samplesPerVersion: 64,
    microBatch: 8,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.002, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 3_000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: versions, samples: 360 },
  checkpoints: { everyVersions: versions },
  retention: { contributions: { versions: 1 } },
});

interface Digits {
  readonly manifest: DatasetManifest;
  readonly storage: Storage;
}
/** The data set that comes with Weft, in a storage of its own. */
async function digitsIn(storage: Storage): Promise<Digits> {
  const home = dirname(createRequire(import.meta.url).resolve("@weft/datasets/package.json"));
  const catalog = datasetCatalog(folderFiles(new MemoryDisk(), "datasets"), storage.blobs);
  await catalog.addEmbedded((path) => readFile(join(home, "embedded", ...path.split("/"))));
  const manifest = (await catalog.list()).find(({ id }) => id === "digits");
  if (manifest === undefined) throw new Error("there is no data set of digits");
  return { manifest, storage };
}
const lookup = ({ manifest, storage }: Digits): DatasetLookup => ({
  manifest: async (id) => (id === manifest.id ? { manifest, blob: await storage.blobs.put(canonicalBytes(manifest)) } : null),
});
const blobsOf = ({ blobs }: Storage) => ({
  get: async (sha256: string): Promise<Uint8Array> => {
    const bytes = await blobs.get(sha256);
    if (bytes === null) throw new Error(`blob ${sha256} is missing`);
    return bytes;
  },
});

async function heldOutLoss(digits: Digits, spec: ReturnType<typeof churnRun>, weights: Float32Array): Promise<number> {
  const reader = datasetReader(digits.manifest, blobsOf(digits.storage), "heldOut");
  const chosen = evenlySpread(spec.evaluation.samples, reader.samples);
  return mlpStep(spec.model, weights, await reader.images(chosen, chosen.length)).lossSum / chosen.length;
}

type Contribution = ReturnType<ScriptedVolunteer["contribution"]>;
type Delivery = "prompt" | "slow" | "interrupted";
const WAYS: Readonly<Record<Delivery, string>> = {
  prompt: "at once",
  slow: "slowly, to their end after the deadline",
  interrupted: "over a line that breaks, and again after the deadline",
};
const LATE_DELIVERIES: readonly Delivery[] = ["slow", "interrupted"];
const DELIVERIES: readonly Delivery[] = ["prompt", "slow", "interrupted"];

/** Samples of answers whose sending was begun, whatever became of it, and of those that a version counts. */
interface Delivered {
  delivered: number;
  counted: number;
}
/** In samples. */
type Tally = { assigned: number; abandoned: number } & Readonly<Record<Delivery, Delivered>>;
const noTally = (): Tally => ({
  assigned: 0,
  abandoned: 0,
  prompt: { delivered: 0, counted: 0 },
  slow: { delivered: 0, counted: 0 },
  interrupted: { delivered: 0, counted: 0 },
});

/** One place at which somebody works, leaves, and after a while somebody works again. */
class Place {
  readonly #kit: TestCoordinator;
  readonly #digits: Digits;
  readonly #spec: ReturnType<typeof churnRun>;
  readonly #chance: RandomStream;
  readonly #tally: Tally;
  readonly #calm: boolean;
  readonly #volunteer: ScriptedVolunteer;
  readonly #speed: number;
  readonly #data;

  constructor(kit: TestCoordinator, digits: Digits, spec: ReturnType<typeof churnRun>, index: number, tally: Tally, calm: boolean) {
    this.#kit = kit;
    this.#digits = digits;
    this.#spec = spec;
    this.#tally = tally;
    this.#calm = calm;
    this.#chance = randomStream(spec.seed, 1_000 + index);
    this.#speed = SAMPLES_PER_SECOND * (0.5 + this.#chance.uniform());
    this.#volunteer = new ScriptedVolunteer(100 * spec.seed + index, `192.0.2.${index}`);
    this.#data = volunteerData({ blobs: blobsOf(digits.storage), draw: drawSample, visit: visitedSample });
  }

  #sleep(ms: number): Promise<void> {
    return this.#kit.clock.sleep(ms);
  }

  /** Works until the run is over. */
  async live(isOver: () => boolean): Promise<void> {
    await this.#sleep(1_000 * this.#chance.uniform());
    await this.#volunteer.join(this.#kit.coordinator);
    while (!isOver()) {
      const reply = await this.#volunteer.requestLease(null, this.#speed);
      if (!reply.ok || reply.value.kind === "none") {
        await this.#sleep(Math.min(1_000, reply.ok && reply.value.kind === "none" ? reply.value.retryAfterMs : 1_000));
        continue;
      }
      await this.#work(reply.value.assignment);
    }
  }

  async #work(assignment: Assignment): Promise<void> {
    const { samples } = assignment;
    const tally = this.#tally;
    tally.assigned += samples;
    const busyMs = (1_000 * samples) / this.#speed;
    const givenMs = this.#kit.clock.now();
    if (!this.#calm && this.#chance.uniform() < ABANDONED) {
      tally.abandoned += samples;
      await this.#sleep(busyMs * this.#chance.uniform());
      await this.#leave(this.#chance.uniform() < VANISHED);
      return;
    }
    await this.#sleep(busyMs);
    // Somebody else's answer is in, or the time is up: who is still computing stops, as the volunteer's own state machine does.
    if (this.#isRevoked(assignment)) return;
    const isLate = !this.#calm && this.#chance.uniform() < LATE;
    const lateMs = givenMs + this.#spec.round.deadlineMs + this.#spec.round.leaseMs * this.#chance.uniform();
    const contribution = await this.#contribution(assignment);
    const kind = !isLate ? "prompt" : this.#chance.uniform() < INTERRUPTED ? "interrupted" : "slow";
    tally[kind].delivered += samples;
    if (await this.#send(kind, contribution, lateMs)) tally[kind].counted += samples;
  }

  /** Whether it counted. */
  async #send(kind: Delivery, contribution: Contribution, lateMs: number): Promise<boolean> {
    switch (kind) {
      case "prompt":
        return (await this.#volunteer.upload(contribution)).ok;
      case "slow":
        return this.#sendSlowly(contribution, lateMs);
      case "interrupted":
        return this.#sendInterrupted(contribution, lateMs);
      default:
        return kind satisfies never;
    }
  }

  #isRevoked({ lease, attempt }: Assignment): boolean {
    return this.#volunteer.revoked.some((revoked) => revoked.lease === lease && revoked.attempt === attempt);
  }

  /** Bytes come all the time, the last of them after the deadline. */
  async #sendSlowly(contribution: Contribution, untilMs: number): Promise<boolean> {
    const chunks = Math.ceil(contribution.bytes.length / CHUNK_BYTES);
    const eachMs = (untilMs - this.#kit.clock.now()) / chunks;
    const opened = await this.#volunteer.open(contribution);
    if (!opened.ok) return false;
    for (let index = 0; index < chunks; index++) {
      await this.#sleep(eachMs);
      const reply = await this.#volunteer.chunk(contribution, index);
      if (!reply.ok) return false;
      if (reply.value.kind === "admitted") return true;
    }
    return false;
  }

  /** The line breaks after the first chunk, and is there again after the deadline. */
  async #sendInterrupted(contribution: Contribution, untilMs: number): Promise<boolean> {
    const opened = await this.#volunteer.open(contribution);
    if (opened.ok) await this.#volunteer.chunk(contribution, 0);
    const goneMs = this.#kit.clock.now();
    await this.#sleep(Math.max(0, Math.min(NOTICED_MS, untilMs - goneMs)));
    this.#volunteer.session.disconnected(SILENT_MS);
    await this.#sleep(Math.max(0, untilMs - this.#kit.clock.now()));
    await this.#volunteer.join(this.#kit.coordinator);
    return (await this.#volunteer.upload(contribution)).ok;
  }

  /** Comes back after a while, as another visitor would come. */
  async #leave(vanishes: boolean): Promise<void> {
    if (vanishes) {
      await this.#sleep(NOTICED_MS);
      this.#volunteer.session.disconnected(SILENT_MS);
    } else {
      await this.#volunteer.say("leave", {});
      this.#volunteer.disconnect();
    }
    await this.#sleep(5_000 * this.#chance.uniform());
    await this.#volunteer.join(this.#kit.coordinator);
  }

  /** The mean gradient of the assignment's samples. */
  async #contribution(assignment: Assignment): Promise<Contribution> {
    const weights = f32FromBytes(await blobsOf(this.#digits.storage).get(assignment.weights.sha256));
    const { samples } = assignment;
    const { manifest } = this.#digits;
    const batch = await this.#data.batch({ assignment, spec: this.#spec, manifest }, 0, samples, samples);
    const { lossSum, gradientSum } = mlpStep(this.#spec.model, weights, batch);
    const lossMean = f32ToHex(lossSum / samples);
    return this.#volunteer.contribution(
      assignment,
      { lossMean },
      gradientSum.map((value) => value / samples),
    );
  }
}

interface Trained {
  readonly lossMean: number;
  readonly tally: Tally;
  readonly virtualMs: number;
}

async function train(seed: number, versions: number, calm: boolean): Promise<Trained> {
  const spec = churnRun(seed, versions);
  const storage = memoryStorage();
  const digits = await digitsIn(storage);
  const kit = await TestCoordinator.start({
    storage,
    seed,
    datasetLookup: lookup(digits),
    evaluate: async (_spec, _manifest, weights) => ({
      lossMean: f32ToHex(await heldOutLoss(digits, spec, weights)),
      accuracy: f32ToHex(0),
      samples: spec.evaluation.samples,
    }),
  });
  const run = await kit.createRun(spec);
  const detail = () => kit.coordinator.detail(run);
  const tally = noTally();
  const beganMs = kit.clock.now();
  const isOver = (): boolean => detail()?.phase !== "running";
  const failures: unknown[] = [];
  for (let index = 0; index < VOLUNTEERS; index++)
    new Place(kit, digits, spec, index, tally, calm).live(isOver).catch((error: unknown) => failures.push(error));
  while (isOver() === false && failures.length === 0) await kit.pass(500);
  if (failures.length > 0) throw failures[0];
  const virtualMs = kit.clock.now() - beganMs;
  for (let wait = 0; wait < 20 && detail()?.evaluations.at(-1)?.version !== versions; wait++) await kit.pass(500);
  const evaluated = (await kit.records(run)).findLast(({ event }) => event.type === "version-evaluated")?.event;
  if (evaluated?.type !== "version-evaluated" || evaluated.version !== versions) throw new Error("the last version was not evaluated");
  return { lossMean: f32FromHex(evaluated.evaluation.lossMean), tally, virtualMs };
}

export interface Churn {
  readonly calm: readonly Trained[];
  readonly churned: readonly Trained[];
}
export async function measureChurn({ versions, seeds }: ChurnSize, seed: number, say: (line: string) => void): Promise<Churn> {
  const calm: Trained[] = [];
  const churned: Trained[] = [];
  for (let index = 0; index < seeds; index++) {
    calm.push(await train(seed + index, versions, true));
    churned.push(await train(seed + index, versions, false));
    say(`seed ${seed + index}: loss ${calm.at(-1)?.lossMean.toFixed(5)} calm, ${churned.at(-1)?.lossMean.toFixed(5)} in churn`);
  }
  return { calm, churned };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const sumOf = (runs: readonly Trained[], of: (tally: Tally) => number): number => runs.reduce((sum, { tally }) => sum + of(tally), 0);
const deliveredIn = (runs: readonly Trained[], kinds: readonly Delivery[]): number =>
  sumOf(runs, (tally) => kinds.reduce((sum, kind) => sum + tally[kind].delivered, 0));
/** Of the samples delivered in these ways, the part that versions count. */
export const goodputOf = (runs: readonly Trained[], kinds: readonly Delivery[] = DELIVERIES): number =>
  sumOf(runs, (tally) => kinds.reduce((sum, kind) => sum + tally[kind].counted, 0)) / deliveredIn(runs, kinds);

/** The rows of the churn; part of the bench `faults`. */
export async function churnRows({ short, seed, say }: BenchContext): Promise<readonly Row[]> {
  const size = short ? SHORT : FULL;
  const { calm, churned } = await measureChurn(size, seed, say);
  const losses = calm.map(({ lossMean }) => lossMean);
  const calmLoss = mean(losses);
  const churnLoss = mean(churned.map(({ lossMean }) => lossMean));
  const deviation = Math.sqrt(losses.reduce((sum, loss) => sum + (loss - calmLoss) ** 2, 0) / Math.max(1, losses.length - 1));
  const bar = "goal of the issue";
  const note = `mean of ${size.seeds} seeds after ${size.versions} versions`;
  return [
    { figure: "held-out loss, calm", value: calmLoss, unit: "nats", goal: null, anchor: note },
    { figure: "held-out loss, churn", value: churnLoss, unit: "nats", goal: null, anchor: note },
    {
      figure: "difference of the losses",
      value: Math.abs(churnLoss - calmLoss) / calmLoss,
      unit: "",
      goal: { at: "most", value: Math.max(0.01, (2 * deviation) / calmLoss) },
      anchor: `${bar}: 1 % or two standard deviations of the calm runs`,
    },
    {
      figure: "assignments abandoned, of their samples",
      value: sumOf(churned, ({ abandoned }) => abandoned) / sumOf(churned, ({ assigned }) => assigned),
      unit: "",
      goal: { at: "least", value: 0.4 },
      anchor: "the load itself: 0.5",
    },
    {
      figure: "answers late, of their samples",
      value: deliveredIn(churned, LATE_DELIVERIES) / deliveredIn(churned, DELIVERIES),
      unit: "",
      goal: { at: "least", value: 0.2 },
      anchor: "the load itself: 0.3",
    },
    {
      figure: "goodput in churn: samples counted of those delivered",
      value: goodputOf(churned),
      unit: "",
      goal: { at: "least", value: 0.85 },
      anchor: bar,
    },
    ...DELIVERIES.map(
      (kind): Row => ({
        figure: `goodput of answers sent ${WAYS[kind]}`,
        value: goodputOf(churned, [kind]),
        unit: "",
        goal: null,
        anchor: `${Math.round(deliveredIn(churned, [kind])).toLocaleString("en")} samples`,
      }),
    ),
    {
      figure: "time of a version in churn, against calm",
      value: mean(churned.map(({ virtualMs }) => virtualMs)) / mean(calm.map(({ virtualMs }) => virtualMs)),
      unit: "times",
      goal: null,
      anchor: "virtual time",
    },
  ];
}
