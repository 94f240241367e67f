// What must hold whatever happens, one sentence each, and the bookkeeping that decides it: made of the ledger's events and of what was said
// to volunteers, apart from the state machine that is being checked. Knows neither faults nor how a simulation runs.
import { type BlobRef, type LedgerEvent, type LedgerRecord, MAX_OPEN_ASSIGNMENTS, type RunSpec } from "@weft/protocol";
import { drawSample } from "@weft/training";

export const INVARIANTS = {
  "versions-rise-by-one":
    "Each publication and each roll-back makes the version after the newest; none is skipped, repeated or lost once shown.",
  "samples-once":
    "The leases of a version cover its part of the sample stream without gap or overlap, versions follow on one another, and in the surviving lineage no sample comes twice in an epoch, nor is one left out of an epoch that is over.",
  "settled-once": "A lease is settled by one contribution at most, of the volunteer and attempt to which it was given.",
  "acknowledged-is-stored": "When a volunteer hears that its contribution is admitted, the ledger's record of it is on disk.",
  "acknowledged-survives": "An acknowledged contribution is in the ledger after every crash, and asking again never gets another verdict.",
  "accounted-once":
    "An admitted contribution is counted in exactly one version (perhaps with weight 0 and a reason), or named as abandoned by exactly one stop or roll-back.",
  "ledger-only-grows":
    "What was once on disk stays as it was; a crash takes only the end that nobody was promised; hashes chain and time never goes back.",
  "fold-is-state": "Folding the ledger gives the coordinator's live state, at every moment and after every restart.",
  "offered-is-recorded": "Every lease of which a volunteer is told stands in the ledger as given to it; what is revoked is not live there.",
  "shown-is-durable": "A version, a command's answer and the weights that a lease names are on disk before anybody is told.",
  "holdings-are-bounded":
    "Nobody holds more leases at once than a key may, and the coordinator's queues, uploads and sessions stay within their bounds.",
  "roll-back-restores": "A roll-back to a version takes up its weights, optimiser state, position and steps.",
  "goes-on-from-there":
    "A run that goes on from a version of another begins with what that version was, which is on disk, and names the record that made it.",
  "archive-is-whole": "A run that is archived as it runs is proved by the archive alone.",
  "replay-is-identical":
    "Recomputing the surviving ledger from its first version gives every published hash, bit for bit; only what the retention lets go is missing.",
  undisturbed: "With leases of a fixed size the weights are those of a run that nothing disturbed.",
  "debts-are-paid": "When a run is over, every evaluation and checkpoint that was due is recorded, and nothing of an upload is left.",
  progress: "If one honest volunteer stays, the run ends.",
  "nothing-breaks": "No input makes the coordinator fail inside, call its own files damaged, or fail to start.",
} as const satisfies Record<string, string>;

export type InvariantName = keyof typeof INVARIANTS;

export class Violation extends Error {
  readonly invariant: InvariantName;
  constructor(invariant: InvariantName, what: string) {
    super(`${invariant}: ${what}\n  (${INVARIANTS[invariant]})`);
    this.name = "Violation";
    this.invariant = invariant;
  }
}

export function hold(invariant: InvariantName, holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(invariant, what());
}

export interface Answer {
  readonly lease: string;
  readonly attempt: number;
  readonly volunteer: string;
}
export const answerKey = ({ lease, attempt, volunteer }: Answer): string => `${lease}/${attempt}/${volunteer}`;

interface Lease {
  readonly start: number;
  readonly samples: number;
  /** Whom attempt n, at index n - 1, was given to; `isLive` until it ends. */
  readonly attempts: { readonly volunteer: string; isLive: boolean }[];
  settled: (Answer & { readonly sha256: string }) | null;
}
export interface Point {
  readonly weights: BlobRef;
  readonly optimizer: BlobRef | null;
  readonly position: number;
  readonly steps: number;
}

/** What the ledger's own promises come to, event by event. Throws a Violation. */
export class Book {
  readonly spec: RunSpec;
  version: number;
  ended: "finished" | "stopped" | null = null;
  /** Record that ended it last. */
  endedBy = 0;
  readonly #first: number;
  #seq = 0;
  #atMs: number;
  #position: number;
  #steps: number;
  readonly #points = new Map<number, Point>();
  /** Record that made each version: shown only when it is on disk. */
  readonly madeBy = new Map<number, number>();
  #round: { readonly base: number; readonly start: number; readonly samples: number } | null = null;
  #cut = 0;
  #leases = new Map<string, Lease>();
  readonly #open = new Map<string, number>();
  /** Every contribution ever admitted here, with its record and what became of it. */
  readonly admitted = new Map<string, { readonly seq: number; readonly sha256: string; accounted: string | null }>();

  constructor({ event, atMs }: LedgerRecord) {
    if (event.type !== "run-created") throw new Violation("ledger-only-grows", `a ledger begins with ${event.type}`);
    const origin = event.origin ?? null;
    this.spec = event.spec;
    this.#first = origin?.version ?? 0;
    this.version = this.#first;
    this.#position = origin?.position ?? 0;
    this.#steps = origin?.steps ?? 0;
    this.#atMs = atMs;
    this.#note(event.weights, origin?.optimizer ?? null);
  }

  get records(): number {
    return this.#seq + 1;
  }
  get position(): number {
    return this.#position;
  }
  get steps(): number {
    return this.#steps;
  }
  pointOf(version: number): Point | undefined {
    return this.#points.get(version);
  }
  /** The oldest one: 0, unless it goes on from another run. */
  get firstVersion(): number {
    return this.#first;
  }
  /** In the open round, or in one that is past, of which only the highest version tells. */
  wasGiven({ lease, attempt, volunteer }: Answer): boolean {
    return Number.parseInt(lease, 10) < this.version || this.#leases.get(lease)?.attempts[attempt - 1]?.volunteer === volunteer;
  }
  isLive({ lease, attempt, volunteer }: Answer): boolean {
    const given = this.#leases.get(lease)?.attempts[attempt - 1];
    return given?.volunteer === volunteer && given.isLive;
  }
  liveAssignments(): Answer[] {
    return [...this.#leases].flatMap(([lease, { attempts }]) =>
      attempts.flatMap(({ volunteer, isLive }, index) => (isLive ? [{ lease, attempt: index + 1, volunteer }] : [])),
    );
  }
  leaseOf(lease: string): { readonly start: number; readonly samples: number } | undefined {
    return this.#leases.get(lease);
  }

  read({ seq, atMs, event }: LedgerRecord): void {
    hold("ledger-only-grows", seq === this.#seq + 1, () => `record ${seq} follows record ${this.#seq}`);
    hold("ledger-only-grows", atMs >= this.#atMs, () => `record ${seq} is ${this.#atMs - atMs} ms older than the one before`);
    this.#seq = seq;
    this.#atMs = atMs;
    this.#event(event);
  }

  #event(event: LedgerEvent): void {
    switch (event.type) {
      case "run-created":
        throw new Violation("ledger-only-grows", "the run is created again");
      case "run-stopped":
        this.ended = "stopped";
        this.endedBy = this.#seq;
        this.#abandon(event.abandoned ?? [], "the stop");
        return;
      case "run-finished":
        hold(
          "progress",
          this.#steps >= this.spec.training.versions,
          () => `finished after ${this.#steps} of ${this.spec.training.versions} steps`,
        );
        hold("accounted-once", this.#unaccounted().length === 0, () => "the run is finished with contributions that no version counts");
        this.ended = "finished";
        this.endedBy = this.#seq;
        return;
      case "run-rolled-back":
        this.#rollBack(event);
        return;
      case "round-opened":
        hold(
          "versions-rise-by-one",
          event.base === this.version,
          () => `a round opens on version ${event.base}, the newest is ${this.version}`,
        );
        hold(
          "samples-once",
          event.start === this.#position,
          () => `the round starts at ${event.start}, the lineage is at ${this.#position}`,
        );
        if (this.spec.training.mode === "gradient")
          hold("samples-once", event.samples === this.spec.training.samplesPerVersion, () => `the round has ${event.samples} samples`);
        this.#round = event;
        this.#cut = 0;
        this.#leases = new Map();
        return;
      case "lease-assigned":
        this.#assign(event);
        return;
      case "assignment-ended":
        this.#end(event);
        return;
      case "contribution-admitted":
        this.#admit(event.header);
        return;
      case "version-published":
        this.#publish(event);
        return;
      case "round-closing":
      case "run-adopted":
      case "run-paused":
      case "run-resumed":
      case "volunteer-blocked":
      case "volunteer-unblocked":
      case "volunteer-joined":
      case "volunteer-left":
      case "contribution-refused":
      case "version-evaluated":
      case "checkpoint-written":
        return;
      default:
        event satisfies never;
    }
  }

  #assign({ lease: id, attempt, volunteer, start, samples }: Extract<LedgerEvent, { type: "lease-assigned" }>): void {
    const round = this.#round;
    hold("offered-is-recorded", round !== null, () => `lease ${id} is given while no round is open`);
    let lease = this.#leases.get(id);
    if (lease === undefined) {
      hold("samples-once", start === round.start + this.#cut, () => `lease ${id} begins at ${start}, ${round.start + this.#cut} is next`);
      this.#cut += samples;
      hold("samples-once", this.#cut <= round.samples, () => `lease ${id} reaches beyond its version's batch`);
      lease = { start, samples, attempts: [], settled: null };
      this.#leases.set(id, lease);
    }
    const { settled, attempts } = lease;
    hold("samples-once", lease.start === start && lease.samples === samples, () => `lease ${id} is given as another piece of work`);
    hold("settled-once", settled === null, () => `lease ${id} is given although it is settled`);
    hold("ledger-only-grows", attempt === attempts.length + 1, () => `attempt ${attempt} at lease ${id} follows ${attempts.length}`);
    attempts.push({ volunteer, isLive: true });
    const open = (this.#open.get(volunteer) ?? 0) + 1;
    this.#open.set(volunteer, open);
    hold("holdings-are-bounded", open <= MAX_OPEN_ASSIGNMENTS, () => `${volunteer} holds ${open} leases`);
  }

  #end({ lease, attempt, volunteer }: Extract<LedgerEvent, { type: "assignment-ended" }>): void {
    hold(
      "ledger-only-grows",
      this.isLive({ lease, attempt, volunteer }),
      () => `attempt ${attempt} at lease ${lease} ends and is not live`,
    );
    this.#close({ lease, attempt, volunteer });
  }
  #close({ lease, attempt, volunteer }: Answer): void {
    const given = this.#leases.get(lease)?.attempts[attempt - 1];
    if (given?.isLive !== true) return;
    given.isLive = false;
    const left = (this.#open.get(volunteer) ?? 1) - 1;
    if (left > 0) this.#open.set(volunteer, left);
    else this.#open.delete(volunteer);
  }

  #admit(header: Extract<LedgerEvent, { type: "contribution-admitted" }>["header"]): void {
    const lease = this.#leases.get(header.lease);
    hold("settled-once", lease !== undefined, () => `lease ${header.lease} is settled and was never given`);
    const { settled, attempts, samples } = lease;
    hold("settled-once", settled === null, () => `lease ${header.lease} is settled a second time`);
    const holder = attempts[header.attempt - 1]?.volunteer;
    hold(
      "settled-once",
      holder === header.volunteer,
      () => `lease ${header.lease} is settled by ${header.volunteer}, attempt ${header.attempt} was ${holder}'s`,
    );
    hold("samples-once", header.samples === samples, () => `${header.samples} samples answer lease ${header.lease} of ${samples}`);
    const { lease: id, attempt, volunteer, sha256 } = header;
    lease.settled = { lease: id, attempt, volunteer, sha256 };
    this.admitted.set(answerKey(header), { seq: this.#seq, sha256, accounted: null });
    this.#close(header);
  }

  #publish(event: Extract<LedgerEvent, { type: "version-published" }>): void {
    const round = this.#round;
    hold(
      "versions-rise-by-one",
      round !== null && event.version === this.version + 1,
      () => `version ${event.version} follows ${this.version}`,
    );
    let position = round.start;
    for (const { lease: id, volunteer, sha256, samples } of event.contributions) {
      const lease = this.#leases.get(id);
      hold(
        "samples-once",
        lease?.start === position && lease.samples === samples,
        () => `version ${event.version}: lease ${id} does not begin at ${position}`,
      );
      const { settled } = lease;
      hold(
        "accounted-once",
        settled?.sha256 === sha256 && settled.volunteer === volunteer,
        () => `version ${event.version} counts ${sha256}, which does not settle ${id}`,
      );
      this.#account(settled, `version ${event.version}`);
      position += samples;
    }
    hold(
      "samples-once",
      position === round.start + round.samples,
      () => `version ${event.version} counts samples up to ${position}, its batch ends at ${round.start + round.samples}`,
    );
    const left = this.#unaccounted();
    hold("accounted-once", left.length === 0, () => `version ${event.version} leaves out the admitted ${left.join(", ")}`);
    this.#position = position;
    this.#steps += 1;
    this.version = event.version;
    this.#note(event.weights, event.optimizer);
    this.#endRound();
  }

  #rollBack(event: Extract<LedgerEvent, { type: "run-rolled-back" }>): void {
    hold(
      "versions-rise-by-one",
      event.version === this.version + 1,
      () => `the roll-back makes version ${event.version} after ${this.version}`,
    );
    const point = this.#points.get(event.to);
    hold("roll-back-restores", point !== undefined, () => `there never was a version ${event.to}`);
    const isSame =
      point.weights.sha256 === event.weights.sha256 &&
      point.optimizer?.sha256 === event.optimizer?.sha256 &&
      point.position === event.position &&
      point.steps === event.steps;
    hold("roll-back-restores", isSame, () => `version ${event.version} is not what version ${event.to} was`);
    this.#abandon(event.abandoned, `the roll-back to version ${event.to}`);
    this.ended = null;
    this.#position = event.position;
    this.#steps = event.steps;
    this.version = event.version;
    this.#note(event.weights, event.optimizer);
    this.#endRound();
  }

  #abandon(abandoned: readonly { readonly lease: string; readonly volunteer: string; readonly sha256: string }[], by: string): void {
    for (const { lease: id, volunteer, sha256 } of abandoned) {
      const settled = this.#leases.get(id)?.settled ?? null;
      hold(
        "accounted-once",
        settled?.sha256 === sha256 && settled.volunteer === volunteer,
        () => `${by} names ${id}, which that does not settle`,
      );
      this.#account(settled, by);
    }
    const left = this.#unaccounted();
    hold("accounted-once", left.length === 0, () => `${by} does not name the admitted ${left.join(", ")}`);
  }
  #account(answer: Answer, by: string): void {
    const admitted = this.admitted.get(answerKey(answer));
    hold("accounted-once", admitted !== undefined, () => `${by} accounts for ${answerKey(answer)}, which was not admitted`);
    hold("accounted-once", admitted.accounted === null, () => `${by} accounts for ${answerKey(answer)} again, after ${admitted.accounted}`);
    admitted.accounted = by;
  }
  /** Of the open round. */
  #unaccounted(): string[] {
    return [...this.#leases.values()].flatMap(({ settled }) =>
      settled !== null && this.admitted.get(answerKey(settled))?.accounted === null ? [answerKey(settled)] : [],
    );
  }
  #endRound(): void {
    for (const answer of this.liveAssignments()) this.#close(answer);
    this.#round = null;
    this.#leases = new Map();
  }
  #note(weights: BlobRef, optimizer: BlobRef | null): void {
    this.#points.set(this.version, { weights, optimizer, position: this.#position, steps: this.#steps });
    this.madeBy.set(this.version, this.#seq);
  }
}

/** The lineage's samples, epoch by epoch, drawn as a volunteer draws them. */
export function checkEpochs(spec: RunSpec, position: number, population: number): void {
  if (spec.sampler.kind !== "epoch") return;
  let seen = new Set<number>();
  for (let at = 0; at < position; at += 1) {
    if (at % population === 0) {
      hold("samples-once", at === 0 || seen.size === population, () => `an epoch of ${population} has ${seen.size} different samples`);
      seen = new Set();
    }
    const sample = drawSample(spec.sampler, spec.seed, at, population);
    hold("samples-once", !seen.has(sample), () => `sample ${sample} comes twice in the epoch of position ${at}`);
    seen.add(sample);
  }
}
