// Follows a ledger's own claims: versions rise by one, rounds stand in line, each admitted contribution is counted in one version or named by what
// gave its round up, and what a version counts is its whole batch. Written apart from the coordinator's state machine, so that a mistake there
// is seen here. Knows no bytes and no signatures.
import {
  type AbandonedContribution,
  type ContributionHeader,
  type EventOf,
  f32FromHex,
  f32ToHex,
  type LeaseId,
  type LedgerRecord,
  type StreamRange,
} from "@weft/protocol";
import { contributionWeights, learningRate, mergedRanges, positionsOf, samplesCounted, visitSamples, withoutFirst } from "@weft/training";
import type { Findings } from "./findings.ts";
import type { VersionPoint } from "./lineage.ts";

interface Attempt {
  readonly holder: string;
  readonly base: VersionPoint;
  readonly codec: string;
}
interface Lease {
  readonly start: number;
  readonly samples: number;
  readonly attempts: Map<number, Attempt>;
  admitted: { readonly header: ContributionHeader; readonly base: VersionPoint } | null;
}
interface Round {
  readonly opened: EventOf<"round-opened">;
  /** In `local-steps` those that earlier rounds left, too. */
  readonly leases: Map<LeaseId, Lease>;
  /** Positions that a round that was given up had given out: cut before what `cut` counts. */
  pool: readonly StreamRange[];
  cut: number;
  /** What it closes with; null where it has not said so, or counts its whole batch. */
  closing: readonly LeaseId[] | null;
}
type Wrong = (detail: string) => void;

/** A cosine may be computed with another last bit elsewhere; a wrong schedule is off by far more. */
const RATE_TOLERANCE = 1e-6;

export class Accounting {
  readonly #findings: Findings;
  readonly #points = new Map<number, VersionPoint>();
  #created: EventOf<"run-created"> | null = null;
  #tip: VersionPoint | null = null;
  #round: Round | null = null;
  /** Between two rounds what the next one begins with. */
  #carried: Pick<Round, "leases" | "pool"> = { leases: new Map(), pool: [] };
  #counted = 0;
  #abandoned = 0;
  #rollBacks = 0;
  readonly #volunteers = new Set<string>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  get created(): EventOf<"run-created"> | null {
    return this.#created;
  }
  /** The newest version. */
  get tip(): VersionPoint | null {
    return this.#tip;
  }
  /** Every version by its number. */
  get points(): ReadonlyMap<number, VersionPoint> {
    return this.#points;
  }
  get totals() {
    return {
      counted: this.#counted,
      abandoned: this.#abandoned,
      waiting: this.#admitted().length,
      volunteers: this.#volunteers.size,
      rollBacks: this.#rollBacks,
    };
  }

  push({ seq, event }: LedgerRecord): void {
    const wrong = (detail: string): void => this.#findings.add("accounting", seq, detail);
    switch (event.type) {
      case "run-created":
        if (this.#created === null) this.#create(event);
        return;
      case "round-opened":
        this.#open(event, wrong);
        return;
      case "round-closing":
        this.#close(event, wrong);
        return;
      case "lease-assigned":
        this.#assign(event, wrong);
        return;
      case "contribution-admitted":
        this.#admit(event.header, wrong);
        return;
      case "version-published":
        this.#publish(event, wrong);
        return;
      case "run-rolled-back":
        this.#rollBack(event, wrong);
        return;
      case "run-stopped":
        this.#abandon(event.abandoned ?? [], wrong);
        return;
      case "run-finished":
        for (const { id } of this.#admitted()) wrong(`The contribution to lease ${id} was admitted, and the run is finished without it.`);
        this.#carried = { leases: new Map(), pool: [] };
        if (event.version !== this.#tip?.version)
          wrong(`The run is finished at version ${event.version}; its newest is ${this.#tip?.version}.`);
        return;
      default:
        return;
    }
  }

  #create(event: EventOf<"run-created">): void {
    const { origin, weights } = event;
    this.#created = event;
    this.#reach({
      version: origin?.version ?? 0,
      weights,
      optimizer: origin?.optimizer ?? null,
      position: origin?.position ?? 0,
      steps: origin?.steps ?? 0,
      pending: origin?.pending ?? [],
      made: { by: "beginning" },
    });
    this.#carried = { leases: new Map(), pool: origin?.pending ?? [] };
  }

  #reach(point: VersionPoint): void {
    this.#points.set(point.version, point);
    this.#tip = point;
    this.#round = null;
  }

  #open(opened: EventOf<"round-opened">, wrong: Wrong): void {
    const tip = this.#tip;
    if (tip === null || this.#created === null) return;
    const { spec } = this.#created;
    if (this.#round !== null) wrong(`A round on version ${opened.base} is opened while another is open.`);
    if (opened.base !== tip.version) wrong(`The round is on version ${opened.base}; the newest is ${tip.version}.`);
    if (opened.start !== tip.position) wrong(`The round begins at position ${opened.start} of the sample stream; ${tip.position} is due.`);
    const batch = spec.training.mode === "gradient" ? spec.training.samplesPerVersion : 0;
    if (opened.samples !== batch) wrong(`The round has ${opened.samples} samples; the specification says ${batch}.`);
    const due = learningRate(spec, { steps: tip.steps, samples: samplesCounted(tip) });
    const rate = f32FromHex(opened.learningRate);
    if (!(Math.abs(rate - due) <= RATE_TOLERANCE * due))
      wrong(`The round's learning rate is ${rate}; the specification's schedule gives ${due}.`);
    this.#round = { opened, ...this.#carried, cut: 0, closing: null };
    this.#carried = { leases: new Map(), pool: [] };
  }

  get #hasLocalSteps(): boolean {
    return this.#created?.spec.training.mode === "local-steps";
  }

  #assign({ lease: id, attempt, volunteer, start, samples, ...named }: EventOf<"lease-assigned">, wrong: Wrong): void {
    const [round, created, tip] = [this.#round, this.#created, this.#tip];
    if (round === null || created === null || tip === null) {
      wrong(`Lease ${id} is given while no round is open.`);
      return;
    }
    let lease = round.leases.get(id);
    if (lease === undefined) {
      const length = positionsOf(created.spec, samples);
      const [owed] = round.pool;
      const due = owed?.start ?? round.opened.start + round.cut;
      if (start !== due || length > (owed?.length ?? length) || (!this.#hasLocalSteps && round.cut + samples > round.opened.samples))
        wrong(`Lease ${id} has positions ${start} to ${start + length - 1}; the next of its round is ${due}.`);
      if (created.clients !== undefined && samples !== visitSamples({ spec: created.spec, clients: created.clients }, start))
        wrong(`Lease ${id} has ${samples} samples, which the client of position ${start} has not.`);
      lease = { start, samples, attempts: new Map(), admitted: null };
      round.leases.set(id, lease);
      if (owed === undefined) round.cut += length;
      else if (length <= owed.length) round.pool = withoutFirst(round.pool, length);
    } else if (lease.start !== start || lease.samples !== samples)
      wrong(`Lease ${id} is another piece of work than when it was first given.`);
    if (this.#hasLocalSteps && named.base !== tip.version)
      wrong(`Lease ${id} is given on version ${named.base}; the newest is ${tip.version}.`);
    lease.attempts.set(attempt, { holder: volunteer, base: tip, codec: named.codec ?? created.spec.training.codec });
  }

  #close({ base, leases }: EventOf<"round-closing">, wrong: Wrong): void {
    const round = this.#round;
    if (round === null || base !== round.opened.base || round.closing !== null || !this.#hasLocalSteps) {
      wrong(`A round on version ${base} closes that is not open.`);
      return;
    }
    const admitted = this.#admitted();
    if (leases.length !== admitted.length || admitted.some(({ id }, index) => id !== leases[index]))
      wrong(`The round on version ${base} closes with other contributions than were admitted.`);
    round.closing = leases;
  }

  #admit(header: ContributionHeader, wrong: Wrong): void {
    const { lease: id, attempt, volunteer, samples } = header;
    const lease = this.#round?.leases.get(id);
    this.#volunteers.add(volunteer);
    if (lease === undefined) {
      wrong(`A contribution to lease ${id} is admitted, which is no lease of the open round.`);
      return;
    }
    if (lease.admitted !== null) wrong(`A second contribution to lease ${id} is admitted.`);
    const given = lease.attempts.get(attempt);
    if (given?.holder !== volunteer) wrong(`Attempt ${attempt} at lease ${id} was not given to who answered it.`);
    if (samples !== lease.samples) wrong(`The contribution to lease ${id} has ${samples} samples; the lease has ${lease.samples}.`);
    if (header.run !== this.#created?.run) wrong(`The contribution to lease ${id} was signed for run ${header.run}.`);
    const base = given?.base ?? this.#tip;
    if (base === null) return;
    if (header.base !== base.weights.sha256) wrong(`The contribution to lease ${id} was computed on other weights than its assignment's.`);
    if (given !== undefined && header.codec !== given.codec) wrong(`The contribution to lease ${id} is encoded as ${header.codec}.`);
    lease.admitted = { header, base };
  }

  /** In the order of their positions, those too with which a round is closing. */
  #admitted(): { readonly id: LeaseId; readonly lease: Lease; readonly header: ContributionHeader; readonly base: VersionPoint }[] {
    const leases = [...(this.#round ?? this.#carried).leases].sort(([, a], [, b]) => a.start - b.start);
    return leases.flatMap(([id, lease]) => (lease.admitted === null ? [] : [{ id, lease, ...lease.admitted }]));
  }

  #publish(event: EventOf<"version-published">, wrong: Wrong): void {
    const [tip, round] = [this.#tip, this.#round];
    if (tip === null) return;
    if (event.version !== tip.version + 1) wrong(`Version ${event.version} follows version ${tip.version}.`);
    if (round === null) wrong(`Version ${event.version} is published while no round is open.`);
    else this.#checkCounted(round, event, wrong);
    const start = round?.opened.start ?? tip.position;
    const counted = this.#countedRanges(round, event, start);
    for (const { lease } of event.contributions) round?.leases.delete(lease);
    const carried = { leases: round?.leases ?? new Map<LeaseId, Lease>(), pool: round?.pool ?? [] };
    this.#carried = this.#hasLocalSteps ? carried : { leases: new Map(), pool: [] };
    const left = [...this.#carried.leases.values()].map((lease) => this.#rangeOf(lease));
    this.#reach({
      version: event.version,
      weights: event.weights,
      optimizer: event.optimizer,
      position: this.#hasLocalSteps ? start + (round?.cut ?? 0) : start + (round?.opened.samples ?? event.samples),
      steps: tip.steps + 1,
      pending: mergedRanges([...this.#carried.pool, ...left]),
      made: { by: "round", base: tip, counted },
    });
  }

  #rangeOf({ start, samples }: Pick<Lease, "start" | "samples">): StreamRange {
    return { start, length: this.#created === null ? samples : positionsOf(this.#created.spec, samples) };
  }

  #countedRanges(round: Round | null, event: EventOf<"version-published">, start: number): StreamRange[] {
    if (round === null || !this.#hasLocalSteps) return [{ start, length: round?.opened.samples ?? event.samples }];
    return event.contributions.flatMap(({ lease }) => {
      const found = round.leases.get(lease);
      return found === undefined ? [] : [this.#rangeOf(found)];
    });
  }

  #checkCounted(round: Round, event: EventOf<"version-published">, wrong: Wrong): void {
    const { opened, closing } = round;
    const named = new Set(event.contributions.map(({ lease }) => lease));
    const due = closing === null ? this.#admitted().map(({ id }) => id) : closing;
    for (const id of due)
      if (!named.has(id)) wrong(`The contribution to lease ${id} was admitted, and version ${event.version} does not count it.`);
    if (this.#hasLocalSteps && (closing === null || named.size !== closing.length || event.contributions.length !== named.size))
      wrong(`Version ${event.version} does not count what its round closed with.`);
    let position = opened.start;
    let samplesIn = 0;
    let [lossSum, lossSamples] = [0, 0];
    const weights = this.#weightsDue(round, event);
    for (const [index, { lease: id, volunteer, sha256, samples, weight }] of event.contributions.entries()) {
      const lease = round.leases.get(id);
      const header = lease?.admitted?.header;
      if (lease === undefined || header === undefined || header.sha256 !== sha256 || header.volunteer !== volunteer) {
        wrong(`Version ${event.version} counts a contribution to lease ${id} that was not admitted.`);
        continue;
      }
      this.#counted += 1;
      const staleness = opened.base - (lease.admitted?.base.version ?? opened.base);
      if (staleness > (this.#created?.spec.round.maxStaleness ?? 0))
        wrong(`Version ${event.version} counts a contribution to lease ${id} that is ${staleness} versions old.`);
      const inOrder = this.#hasLocalSteps ? lease.start >= position || index === 0 : lease.start === position;
      if (!inOrder) wrong(`Version ${event.version} counts lease ${id} from position ${lease.start} on, where ${position} was due.`);
      position = lease.start + this.#rangeOf(lease).length;
      samplesIn += lease.samples;
      if (samples !== lease.samples || weight !== weights[index])
        wrong(`Version ${event.version} counts lease ${id} with ${samples} samples and weight ${f32FromHex(weight)}.`);
      lossSum += samples * f32FromHex(header.lossMean);
      lossSamples += samples;
    }
    if (this.#hasLocalSteps ? event.samples !== samplesIn : position !== opened.start + opened.samples || event.samples !== opened.samples)
      wrong(
        this.#hasLocalSteps
          ? `Version ${event.version} is said to count ${event.samples} samples; its contributions have ${samplesIn}.`
          : `Version ${event.version} counts positions ${opened.start} to ${position - 1}; its batch ends at ${opened.start + opened.samples - 1}.`,
      );
    if (event.learningRate !== opened.learningRate) wrong(`Version ${event.version} was made with another learning rate than its round's.`);
    if (lossSamples > 0 && event.lossMean !== f32ToHex(lossSum / lossSamples))
      wrong(`The loss of version ${event.version} is not the mean of its contributions' losses.`);
  }

  /** As they must stand in the event: parts of the batch; of local steps less where the base is older, down to the oldest that may be. */
  #weightsDue({ opened, leases }: Round, { contributions }: EventOf<"version-published">): string[] {
    const parts = this.#hasLocalSteps
      ? contributionWeights(
          contributions.map(({ lease }) => {
            const { samples = 0, admitted = null } = leases.get(lease) ?? {};
            return { samples, staleness: Math.max(0, opened.base - (admitted?.base.version ?? opened.base)) };
          }),
        )
      : contributions.map(({ lease }) => (leases.get(lease)?.samples ?? 0) / opened.samples);
    return contributions.map(({ reason }, index) => f32ToHex(reason === null ? (parts[index] as number) : 0));
  }

  #rollBack(event: EventOf<"run-rolled-back">, wrong: Wrong): void {
    const tip = this.#tip;
    if (tip === null) return;
    const { version, to, weights, optimizer, position, steps, pending = [] } = event;
    const target = this.#points.get(to);
    this.#rollBacks += 1;
    if (version !== tip.version + 1) wrong(`Version ${version} follows version ${tip.version}.`);
    const same =
      target !== undefined &&
      target.weights.sha256 === weights.sha256 &&
      target.optimizer?.sha256 === optimizer?.sha256 &&
      target.position === position &&
      target.steps === steps &&
      JSON.stringify(target.pending) === JSON.stringify(pending);
    if (!same) wrong(`Version ${version} is said to be version ${to} again, which it is not.`);
    this.#abandon(event.abandoned, wrong);
    this.#reach({ version, weights, optimizer, position, steps, pending, made: { by: "roll-back", to: target ?? tip } });
    this.#carried = { leases: new Map(), pool: pending };
  }

  #abandon(abandoned: readonly AbandonedContribution[], wrong: Wrong): void {
    const named = new Map(abandoned.map((one) => [one.lease, one]));
    for (const { id, header } of this.#admitted()) {
      if (named.get(id)?.sha256 !== header.sha256)
        wrong(`The contribution to lease ${id} was admitted, and its round ended without naming it.`);
      else this.#abandoned += 1;
      named.delete(id);
    }
    for (const id of named.keys()) wrong(`A contribution to lease ${id} is given up that was not admitted.`);
    this.#round = null;
    this.#carried = { leases: new Map(), pool: [] };
  }
}
