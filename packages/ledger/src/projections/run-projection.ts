// Everything that pages show of a run, folded from its ledger record by record. The coordinator lays the present moment over it when
// it is read. Bounded in memory, and in what a page is sent, but for one small entry per contributor (memory only) and per checkpoint;
// counts are exact.
import {
  type BlobRef,
  type CheckpointView,
  type ClothRow,
  type EvaluationPoint,
  type EventOf,
  f32FromHex,
  type LedgerEvent,
  type LedgerRecord,
  type LogLine,
  type RejectionView,
  type RollBackView,
  type RunDetail,
  type RunPhase,
  type RunSpec,
  type RunSummary,
  readsText,
  totalSamples,
  type VersionPoint,
} from "@weft/protocol";
import { canonicalBytes } from "../canonical.ts";
import { sha256 } from "../hash.ts";
import { createLineage } from "../lineage.ts";
import type { LiveOverlay } from "./live.ts";
import { MAX_CLOTH_ROWS } from "./places.ts";
import { createRoundFold } from "./round-fold.ts";
import { sentenceOf } from "./sentences.ts";
import { createRecent, createThinned, spread } from "./series.ts";
import { type Contributor, createVolunteerFold } from "./volunteer-fold.ts";

const MAX_POINTS = 2_000;
/** Curves of the held-out loss are as wide as a page at most. */
const MAX_EVALUATIONS = 1_000;
const MAX_REJECTIONS = 200;
const MAX_LOG_LINES = 200;
const MAX_ROLL_BACKS = 100;
/** Points of the small line in a list of runs. */
const MAX_SPARK = 40;

export interface RunProjection {
  /** Records in order, the first one being run-created; throws on anything before it. */
  apply(record: LedgerRecord): void;
  summary(live: LiveOverlay): RunSummary;
  detail(live: LiveOverlay): RunDetail;
  /** Everybody who settled a lease, in the order in which they first did; `detail` lists at most MAX_LISTED volunteers. */
  contributors(): Contributor[];
}

export function createRunProjection(): RunProjection {
  const volunteers = createVolunteerFold();
  const rounds = createRoundFold();
  const points = createThinned<VersionPoint>(MAX_POINTS);
  const evaluations = createThinned<EvaluationPoint>(MAX_EVALUATIONS);
  const cloth = createRecent<ClothRow>(MAX_CLOTH_ROWS);
  const rejections = createRecent<RejectionView>(MAX_REJECTIONS);
  const log = createRecent<LogLine>(MAX_LOG_LINES);
  const rejectedByCode = new Map<string, number>();
  /** Versions whose checkpoint may still be written. */
  const checkpointVersions = new Map<number, { readonly weights: BlobRef; readonly samplesSeen: number }>();
  const lineage = createLineage();
  const rollBacks = createRecent<RollBackView>(MAX_ROLL_BACKS);
  const checkpoints: CheckpointView[] = [];
  let created: (EventOf<"run-created"> & { readonly atMs: number; readonly specBlob: BlobRef }) | null = null;
  let phase: RunPhase = "running";
  /** Whose key signs the ledger's heads now. */
  let coordinator = "";
  let version = 0;
  let steps = 0;
  let samplesSeen = 0;
  let weights: BlobRef | null = null;
  let delta: BlobRef | null = null;
  let bytesIn = 0;
  /** Of contributions that came while the round was closing: they are the next version's. */
  let waitingBytes = 0;
  let closing = false;
  let settled = 0;
  let lastPublishedMs = 0;
  let head = { seq: -1, hash: "0".repeat(64) };

  const theRun = (): NonNullable<typeof created> => {
    if (created === null) throw new Error("a run's projection begins with its run-created record");
    return created;
  };

  const publish = (event: EventOf<"version-published">, atMs: number): void => {
    const { spec } = theRun();
    version = event.version;
    steps += 1;
    samplesSeen += event.samples;
    weights = event.weights;
    delta = event.delta ?? null;
    lastPublishedMs = atMs;
    const { lossMean, norm } = event;
    points.add({ version, atMs, lossMean: f32FromHex(lossMean), samplesSeen, bytesIn, norm: f32FromHex(norm) });
    bytesIn = waitingBytes;
    waitingBytes = 0;
    closing = false;
    cloth.add({ version, shares: sharesOf(event, (volunteer) => volunteers.indexOf(volunteer)) });
    if (version % spec.checkpoints.everyVersions === 0 || steps >= spec.training.versions)
      checkpointVersions.set(version, { weights: event.weights, samplesSeen });
  };

  /** Of a version that comes back, or from elsewhere. Where positions are visits to clients, as many as the nearest version before it had. */
  const samplesBehind = ({ position, pending = [] }: Pick<EventOf<"run-rolled-back">, "position" | "pending">, to: number): number =>
    theRun().spec.sampler.kind === "clients"
      ? (points.items().findLast((point) => point.version <= to)?.samplesSeen ?? 0)
      : position - pending.reduce((sum, { length }) => sum + length, 0);

  const rollBack = (event: EventOf<"run-rolled-back">, atMs: number): void => {
    if (phase === "finished") phase = "paused";
    samplesSeen = samplesBehind(event, event.to);
    ({ version, steps, weights } = event);
    delta = null;
    lastPublishedMs = atMs;
    bytesIn = 0;
    waitingBytes = 0;
    closing = false;
    rollBacks.add({ version, to: event.to, atMs, by: event.by });
    for (const series of [points, evaluations, cloth, rollBacks]) series.change(marked);
    for (const [index, checkpoint] of checkpoints.entries()) checkpoints[index] = marked(checkpoint);
  };
  /** The same object where nothing changes. */
  const marked = <T extends { readonly version: number; readonly undone?: true }>(item: T): T => {
    if (lineage.has(item.version) === (item.undone === undefined)) return item;
    const { undone, ...rest } = item;
    return (undone === undefined ? { ...rest, undone: true } : rest) as T;
  };
  const newestOf = <T extends { readonly undone?: true }>(items: readonly T[]): T | undefined =>
    items.findLast(({ undone }) => undone === undefined);

  const evaluate = ({ version: evaluated, evaluation }: EventOf<"version-evaluated">, atMs: number): void => {
    const lossMean = f32FromHex(evaluation.lossMean);
    const accuracy = evaluation.accuracy === null ? null : f32FromHex(evaluation.accuracy);
    evaluations.add({ version: evaluated, atMs, lossMean, accuracy });
    const index = checkpoints.findLastIndex((view) => view.version === evaluated);
    const view = checkpoints[index];
    if (view !== undefined) checkpoints[index] = { ...view, heldOutLoss: lossMean, accuracy };
  };

  const keepCheckpoint = ({ version: kept, archive }: EventOf<"checkpoint-written">, atMs: number): void => {
    const ofVersion = evaluations.items().findLast((point) => point.version === kept);
    const made = checkpointVersions.get(kept);
    if (made === undefined) return;
    checkpoints.push({
      version: kept,
      atMs,
      archive,
      ...made,
      heldOutLoss: ofVersion?.lossMean ?? null,
      accuracy: ofVersion?.accuracy ?? null,
    });
    checkpointVersions.delete(kept);
  };

  const fold = (event: LedgerEvent, atMs: number): void => {
    switch (event.type) {
      case "run-created":
        created = { ...event, atMs, specBlob: specBlobOf(event.spec) };
        coordinator = event.coordinator;
        weights = event.weights;
        version = event.origin?.version ?? 0;
        steps = event.origin?.steps ?? 0;
        samplesSeen = event.origin === undefined || event.origin === null ? 0 : samplesBehind(event.origin, 0);
        lastPublishedMs = atMs;
        return;
      case "run-rolled-back":
        rollBack(event, atMs);
        return;
      case "run-adopted":
        coordinator = event.coordinator;
        return;
      case "run-paused":
        phase = "paused";
        return;
      case "run-resumed":
        phase = "running";
        return;
      case "run-stopped":
        phase = "stopped";
        return;
      case "run-finished":
        phase = "finished";
        return;
      case "contribution-admitted":
        settled += 1;
        if (closing) waitingBytes += event.header.sizeBytes;
        else bytesIn += event.header.sizeBytes;
        return;
      case "round-closing":
        closing = true;
        return;
      case "contribution-refused": {
        const { code, volunteer, lease, detail } = event;
        rejectedByCode.set(code, (rejectedByCode.get(code) ?? 0) + 1);
        rejections.add({ atMs, code, volunteer, lease, detail });
        return;
      }
      case "version-published":
        publish(event, atMs);
        return;
      case "version-evaluated":
        evaluate(event, atMs);
        return;
      case "checkpoint-written":
        keepCheckpoint(event, atMs);
        return;
      case "volunteer-joined":
      case "volunteer-left":
      case "volunteer-blocked":
      case "volunteer-unblocked":
      case "round-opened":
      case "lease-assigned":
      case "assignment-ended":
        return;
      default:
        event satisfies never;
    }
  };

  const summary = (live: LiveOverlay): RunSummary => {
    const { run, spec, parameters, atMs } = theRun();
    const { id, name, license, description, train, heldOut } = live.manifest;
    const evaluated = evaluations.items().filter(({ undone }) => undone === undefined);
    const evaluation = evaluated.at(-1);
    return {
      run,
      name: spec.name,
      description: spec.description,
      phase,
      model: spec.model.kind,
      parameters,
      dataset: { id, name, license, description, samples: totalSamples(train) + totalSamples(heldOut) },
      license: spec.license,
      version,
      steps,
      versions: spec.training.versions,
      createdAtMs: atMs,
      lossMean: newestOf(points.items())?.lossMean ?? null,
      heldOutLoss: evaluation?.lossMean ?? null,
      accuracy: evaluation?.accuracy ?? null,
      spark: sparkOf(spec, evaluated),
      volunteersNow: volunteers.presentCount(live),
      volunteersEver: volunteers.everCount(live),
      newestCheckpoint: newestOf(checkpoints) ?? null,
      trouble: live.trouble,
    };
  };

  return {
    apply({ seq, atMs, event, hash }) {
      if (event.type !== "run-created") theRun();
      const text = sentenceOf(event, volunteers.nameOf);
      // The volunteers' count of open leases follows the round, so the round must not have moved yet.
      volunteers.apply(event, atMs, version, rounds);
      rounds.apply(event, atMs);
      lineage.apply(event);
      fold(event, atMs);
      if (text !== null) log.add({ seq, atMs, text });
      head = { seq, hash };
    },
    summary,
    contributors: volunteers.contributors,
    detail(live) {
      const { spec, dataset, specBlob, origin = null } = theRun();
      const batch = spec.training.mode === "gradient" ? spec.training.samplesPerVersion : 0;
      const next = steps >= spec.training.versions ? version : version + 1;
      return {
        ...summary(live),
        spec,
        manifest: live.manifest,
        specBlob,
        datasetBlob: dataset,
        weights: weights ?? theRun().weights,
        delta,
        round: rounds.view(live, { phase, version: next, sinceMs: lastPublishedMs, batch }),
        versionPoints: points.items(),
        evaluations: evaluations.items(),
        cloth: cloth.items(),
        volunteers: volunteers.views(live),
        rejections: rejections.items(),
        rejectedByCode: Object.fromEntries(rejectedByCode),
        settled,
        log: log.items(),
        spans: rounds.spans(),
        checkpoints: [...checkpoints],
        rollBacks: rollBacks.items(),
        origin,
        ledger: { seq: head.seq, head: head.hash, coordinator },
        rates: live.rates,
      };
    },
  };
}

/** The specification as the blob under which volunteers fetch it: canonical JSON. */
export function specBlobOf(spec: RunSpec): BlobRef {
  const bytes = canonicalBytes(spec);
  return { sha256: sha256(bytes), sizeBytes: bytes.length };
}

/** Neighbouring contributions of one volunteer are one stretch of the cloth. */
function sharesOf(event: EventOf<"version-published">, indexOf: (volunteer: string) => number): ClothRow["shares"] {
  const shares: { volunteer: number; samples: number }[] = [];
  for (const { volunteer, samples } of event.contributions) {
    const index = indexOf(volunteer);
    const last = shares.at(-1);
    if (last?.volunteer === index) last.samples += samples;
    else shares.push({ volunteer: index, samples });
  }
  return shares;
}

function sparkOf(spec: RunSpec, evaluations: readonly EvaluationPoint[]): number[] {
  const classifies = !readsText(spec.model);
  return spread(evaluations, MAX_SPARK).map(({ lossMean, accuracy }) => (classifies && accuracy !== null ? accuracy : lossMean));
}
