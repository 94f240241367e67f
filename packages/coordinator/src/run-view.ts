// What is shown of a run: the ledger's projection with the facts of now laid over it. Reads only.
import { createRunProjection, type LiveOverlay, type RunProjection } from "@weft/ledger";
import { type LedgerRecord, type RunDetail, type RunSummary, shortKey, type TroubleView } from "@weft/protocol";
import { whyWaiting } from "@weft/training";
import type { CheckpointInput } from "./ports.ts";
import type { Run } from "./run.ts";

/** Views that are asked for within this time and without a change between are the same object. */
const SAME_MS = 200;

interface Kept<T> {
  readonly key: string;
  readonly view: T;
}

export class RunView {
  readonly #run: Run;
  /** Who has a session now, in whatever run. */
  readonly #isConnected: (volunteer: string) => boolean;
  #projection: RunProjection = createRunProjection();
  /** Of a ledger that is being folded again: shown when it is whole. */
  #next: RunProjection | null = null;
  #summary: Kept<RunSummary> | null = null;
  #detail: Kept<RunDetail> | null = null;

  constructor(run: Run, isConnected: (volunteer: string) => boolean) {
    this.#run = run;
    this.#isConnected = isConnected;
  }

  onRecord(record: LedgerRecord): void {
    (this.#next ?? this.#projection).apply(record);
  }

  clear(): void {
    this.#next = createRunProjection();
  }

  #shown(): RunProjection {
    if (this.#next !== null && this.#run.loop.isOpen) {
      this.#projection = this.#next;
      this.#next = null;
      this.#summary = null;
      this.#detail = null;
    }
    return this.#projection;
  }

  summary(nowMs: number): RunSummary {
    const [projection, key] = [this.#shown(), this.#key(nowMs)];
    if (this.#summary?.key !== key) this.#summary = { key, view: projection.summary(this.#overlay(nowMs)) };
    return this.#summary.view;
  }

  detail(nowMs: number): RunDetail {
    const [projection, key] = [this.#shown(), this.#key(nowMs)];
    if (this.#detail?.key !== key) this.#detail = { key, view: projection.detail(this.#overlay(nowMs)) };
    return this.#detail.view;
  }

  /** For a checkpoint's card: the held-out curve up to a version (thinned as pages show it), and who contributed how much. */
  card(version: number, nowMs: number): Pick<CheckpointInput, "metrics" | "contributors"> {
    // Those of versions that were undone say nothing of the weights.
    const evaluations = this.detail(nowMs).evaluations.filter(({ undone }) => undone === undefined);
    return {
      metrics: evaluations
        .filter((point) => point.version <= version)
        .map((point) => ({ version: point.version, lossMean: point.lossMean, accuracy: point.accuracy })),
      // All of them: the list that pages show is cut.
      contributors: this.#shown()
        .contributors()
        .map(({ name, volunteer, samples }) => ({ name: name ?? shortKey(volunteer), samples })),
    };
  }

  #key(nowMs: number): string {
    return `${this.#run.loop.head.seq} ${this.#run.live.changes} ${Math.floor(nowMs / SAME_MS)}`;
  }

  #reason(nowMs: number): string {
    const trouble = this.#trouble();
    if (trouble === null) return whyWaiting(this.#run.loop.state, nowMs);
    return trouble.kind === "closing" ? trouble.message : `The run takes nothing, since storage failed: ${trouble.message}`;
  }

  #trouble(): TroubleView | null {
    const { loop, trouble } = this.#run;
    if (loop.fault !== null) return { kind: loop.fault.code, message: loop.fault.message };
    return trouble === null ? null : { kind: "closing", message: trouble };
  }

  #overlay(nowMs: number): LiveOverlay {
    const { loop, live, manifest } = this.#run;
    const { state } = loop;
    const presence = new Set<string>();
    for (const { volunteer, present } of state.volunteers.values()) if (present && this.#isConnected(volunteer)) presence.add(volunteer);
    return {
      nowMs,
      presence,
      progress: (lease, attempt) => live.progressOf(lease, attempt),
      samplesPerSecond: (volunteer) => live.speedOf(volunteer),
      spentMs: (volunteer) => live.spentOf(volunteer),
      rates: live.rates(nowMs, state.spec.training.versions - state.steps),
      reason: this.#reason(nowMs),
      trouble: this.#trouble(),
      manifest,
    };
  }
}
