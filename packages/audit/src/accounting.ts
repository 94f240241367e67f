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
} from "@weft/protocol";
import { learningRate } from "@weft/training";
import type { Findings } from "./findings.ts";
import type { VersionPoint } from "./lineage.ts";

interface Lease {
  readonly start: number;
  readonly samples: number;
  /** Who held which attempt. */
  readonly holders: Map<number, string>;
  admitted: ContributionHeader | null;
}
interface Round {
  readonly opened: EventOf<"round-opened">;
  readonly leases: Map<LeaseId, Lease>;
  cut: number;
}

/** A cosine may be computed with another last bit elsewhere; a wrong schedule is off by far more. */
const RATE_TOLERANCE = 1e-6;

export class Accounting {
  readonly #findings: Findings;
  readonly #points = new Map<number, VersionPoint>();
  #created: EventOf<"run-created"> | null = null;
  #tip: VersionPoint | null = null;
  #round: Round | null = null;
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
      made: { by: "beginning" },
    });
  }

  #reach(point: VersionPoint): void {
    this.#points.set(point.version, point);
    this.#tip = point;
    this.#round = null;
  }

  #open(opened: EventOf<"round-opened">, wrong: (detail: string) => void): void {
    const tip = this.#tip;
    if (tip === null || this.#created === null) return;
    const { spec } = this.#created;
    if (this.#round !== null) wrong(`A round on version ${opened.base} is opened while another is open.`);
    if (opened.base !== tip.version) wrong(`The round is on version ${opened.base}; the newest is ${tip.version}.`);
    if (opened.start !== tip.position) wrong(`The round begins at position ${opened.start} of the sample stream; ${tip.position} is due.`);
    if (spec.training.mode === "gradient" && opened.samples !== spec.training.samplesPerVersion)
      wrong(`The round has ${opened.samples} samples; the specification says ${spec.training.samplesPerVersion}.`);
    const due = learningRate(spec, tip.steps);
    const rate = f32FromHex(opened.learningRate);
    if (!(Math.abs(rate - due) <= RATE_TOLERANCE * due))
      wrong(`The round's learning rate is ${rate}; the specification's schedule gives ${due}.`);
    this.#round = { opened, leases: new Map(), cut: 0 };
  }

  #assign({ lease: id, attempt, volunteer, start, samples }: EventOf<"lease-assigned">, wrong: (detail: string) => void): void {
    const round = this.#round;
    if (round === null) {
      wrong(`Lease ${id} is given while no round is open.`);
      return;
    }
    let lease = round.leases.get(id);
    if (lease === undefined) {
      const due = round.opened.start + round.cut;
      if (start !== due || round.cut + samples > round.opened.samples)
        wrong(`Lease ${id} has positions ${start} to ${start + samples - 1}; the next of its round is ${due}.`);
      lease = { start, samples, holders: new Map(), admitted: null };
      round.leases.set(id, lease);
      round.cut += samples;
    } else if (lease.start !== start || lease.samples !== samples)
      wrong(`Lease ${id} is another piece of work than when it was first given.`);
    lease.holders.set(attempt, volunteer);
  }

  #admit(header: ContributionHeader, wrong: (detail: string) => void): void {
    const { lease: id, attempt, volunteer, samples } = header;
    const lease = this.#round?.leases.get(id);
    this.#volunteers.add(volunteer);
    if (lease === undefined) {
      wrong(`A contribution to lease ${id} is admitted, which is no lease of the open round.`);
      return;
    }
    if (lease.admitted !== null) wrong(`A second contribution to lease ${id} is admitted.`);
    if (lease.holders.get(attempt) !== volunteer) wrong(`Attempt ${attempt} at lease ${id} was not given to who answered it.`);
    if (samples !== lease.samples) wrong(`The contribution to lease ${id} has ${samples} samples; the lease has ${lease.samples}.`);
    if (header.run !== this.#created?.run) wrong(`The contribution to lease ${id} was signed for run ${header.run}.`);
    if (header.base !== this.#tip?.weights.sha256) wrong(`The contribution to lease ${id} was computed on other weights than the round's.`);
    if (header.codec !== this.#created?.spec.training.codec) wrong(`The contribution to lease ${id} is encoded as ${header.codec}.`);
    lease.admitted = header;
  }

  /** In the order of their positions. */
  #admitted(): { readonly id: LeaseId; readonly lease: Lease; readonly header: ContributionHeader }[] {
    return [...(this.#round?.leases ?? [])].flatMap(([id, lease]) =>
      lease.admitted === null ? [] : [{ id, lease, header: lease.admitted }],
    );
  }

  #publish(event: EventOf<"version-published">, wrong: (detail: string) => void): void {
    const [tip, round] = [this.#tip, this.#round];
    if (tip === null) return;
    if (event.version !== tip.version + 1) wrong(`Version ${event.version} follows version ${tip.version}.`);
    if (round === null) wrong(`Version ${event.version} is published while no round is open.`);
    else this.#checkCounted(round, event, wrong);
    const start = round?.opened.start ?? tip.position;
    const samples = round?.opened.samples ?? event.samples;
    this.#reach({
      version: event.version,
      weights: event.weights,
      optimizer: event.optimizer,
      position: start + samples,
      steps: tip.steps + 1,
      made: { by: "round", base: tip, start, samples },
    });
  }

  #checkCounted(round: Round, event: EventOf<"version-published">, wrong: (detail: string) => void): void {
    const { opened } = round;
    const named = new Set(event.contributions.map(({ lease }) => lease));
    for (const { id } of this.#admitted())
      if (!named.has(id)) wrong(`The contribution to lease ${id} was admitted, and version ${event.version} does not count it.`);
    let position = opened.start;
    let [lossSum, lossSamples] = [0, 0];
    for (const { lease: id, volunteer, sha256, samples, weight, reason } of event.contributions) {
      const lease = round.leases.get(id);
      const header = lease?.admitted;
      if (lease === undefined || header === null || header === undefined || header.sha256 !== sha256 || header.volunteer !== volunteer) {
        wrong(`Version ${event.version} counts a contribution to lease ${id} that was not admitted.`);
        continue;
      }
      this.#counted += 1;
      if (lease.start !== position)
        wrong(`Version ${event.version} counts lease ${id} from position ${lease.start} on, where ${position} was due.`);
      position = lease.start + lease.samples;
      const due = reason === null ? f32ToHex(lease.samples / opened.samples) : f32ToHex(0);
      if (samples !== lease.samples || weight !== due)
        wrong(`Version ${event.version} counts lease ${id} with ${samples} samples and weight ${f32FromHex(weight)}.`);
      lossSum += samples * f32FromHex(header.lossMean);
      lossSamples += samples;
    }
    if (position !== opened.start + opened.samples || event.samples !== opened.samples)
      wrong(
        `Version ${event.version} counts positions ${opened.start} to ${position - 1}; its batch ends at ${opened.start + opened.samples - 1}.`,
      );
    if (event.learningRate !== opened.learningRate) wrong(`Version ${event.version} was made with another learning rate than its round's.`);
    if (lossSamples > 0 && event.lossMean !== f32ToHex(lossSum / lossSamples))
      wrong(`The loss of version ${event.version} is not the mean of its contributions' losses.`);
  }

  #rollBack(event: EventOf<"run-rolled-back">, wrong: (detail: string) => void): void {
    const tip = this.#tip;
    if (tip === null) return;
    const { version, to, weights, optimizer, position, steps } = event;
    const target = this.#points.get(to);
    this.#rollBacks += 1;
    if (version !== tip.version + 1) wrong(`Version ${version} follows version ${tip.version}.`);
    const same =
      target !== undefined &&
      target.weights.sha256 === weights.sha256 &&
      target.optimizer?.sha256 === optimizer?.sha256 &&
      target.position === position &&
      target.steps === steps;
    if (!same) wrong(`Version ${version} is said to be version ${to} again, which it is not.`);
    this.#abandon(event.abandoned, wrong);
    this.#reach({ version, weights, optimizer, position, steps, made: { by: "roll-back", to: target ?? tip } });
  }

  #abandon(abandoned: readonly AbandonedContribution[], wrong: (detail: string) => void): void {
    const named = new Map(abandoned.map((one) => [one.lease, one]));
    for (const { id, header } of this.#admitted()) {
      if (named.get(id)?.sha256 !== header.sha256)
        wrong(`The contribution to lease ${id} was admitted, and its round ended without naming it.`);
      else this.#abandoned += 1;
      named.delete(id);
    }
    for (const id of named.keys()) wrong(`A contribution to lease ${id} is given up that was not admitted.`);
    this.#round = null;
  }
}
