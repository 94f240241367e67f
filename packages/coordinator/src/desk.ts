// Answers what volunteers ask after their hello: leases, uploads, progress, release, leave. Routes each to its run and turns the run's
// effects into replies. Knows nothing of connections.
import { SIGNING_DOMAINS } from "@weft/ledger";
import {
  type AssignmentRef,
  type ChunkHeader,
  type ChunkReply,
  type ContributionHeader,
  type ContributionOpen,
  type ContributionOpened,
  ERROR_CODES,
  type ErrorCode,
  type LeaseReply,
  type LeaseRequest,
  MAX_OPEN_ASSIGNMENTS,
  ok,
  type Progress,
  type Refusal,
  type Result,
  refuse,
  type Signature,
} from "@weft/protocol";
import { CONTENT_FAULTS, checkContribution, findAssignment } from "@weft/training";
import type { CoordinatorOptions } from "./api.ts";
import type { Counters } from "./counters.ts";
import { MAX_REFUSED_UPLOADS, PATIENCE_MS } from "./limits.ts";
import type { Member } from "./member.ts";
import type { Inspection } from "./ports.ts";
import type { Run } from "./run.ts";
import { messageOf } from "./run-loop.ts";
import { type UploadLimits, type UploadSink, Uploads } from "./uploads.ts";

export interface DeskOptions extends Pick<CoordinatorOptions, "compute" | "verify" | "clock" | "spool"> {
  readonly limits: UploadLimits;
  readonly counters: Counters;
  /** In the order of their creation. */
  readonly runs: ReadonlyMap<string, Run>;
  readonly isClosing: () => boolean;
}

/** When nothing says otherwise, ask again after this long; a `work` notice comes sooner where there is work. */
const ASK_AGAIN_MS = 5_000;

export class Desk implements UploadSink {
  readonly uploads: Uploads;
  readonly #options: DeskOptions;
  readonly #leaseTurns = new Map<string, Promise<void>>();
  /** Refused whole uploads of each assignment that there is, by run; only where the same bytes might be sent again. */
  readonly #refusedUploads = new Map<string, Map<string, number>>();

  constructor(options: DeskOptions) {
    this.#options = options;
    this.uploads = new Uploads(options.spool, this, options.counters, options.limits, () => options.clock.now());
  }

  /**
   * The chosen run while it runs; else the run in which it holds a lease; else the first running one, in order of creation, that has
   * work. A run whose next round is about to open is waited for: hopping to another for a moment would cost both.
   */
  lease(member: Member, request: LeaseRequest): Promise<Result<LeaseReply>> {
    const { volunteer } = member;
    // One after another for one key: what it holds is counted across runs, and each run is asked in its own turn.
    const turn = this.#leaseTurns.get(volunteer) ?? Promise.resolve();
    const reply = turn.then(() => this.#leaseNow(member, request));
    const done = reply.then(
      () => undefined,
      () => undefined,
    );
    this.#leaseTurns.set(volunteer, done);
    void done.then(() => {
      if (this.#leaseTurns.get(volunteer) === done) this.#leaseTurns.delete(volunteer);
    });
    return reply;
  }

  async #leaseNow(member: Member, request: LeaseRequest): Promise<Result<LeaseReply>> {
    if (this.#options.isClosing()) return refuse("unavailable", "the coordinator is stopping", 3_000);
    const { volunteer } = member;
    const runs = [...this.#options.runs.values()];
    const open = runs.reduce((sum, run) => sum + run.openCount(volunteer), 0);
    if (open >= MAX_OPEN_ASSIGNMENTS)
      return refuse("too-many-assignments", `at most ${MAX_OPEN_ASSIGNMENTS} leases are open at once for one volunteer`, ASK_AGAIN_MS);
    const chosen = this.#options.runs.get(request.run ?? member.run ?? "");
    const running = runs.filter((run) => run.isRunning);
    const at = chosen?.isRunning === true ? chosen : running.find((run) => run.openCount(volunteer) > 0);
    let none: Result<LeaseReply> | null = null;
    for (const run of at === undefined ? running : [at]) {
      const reply = await this.#leaseOf(run, member, request.samplesPerSecond);
      if (!reply.ok || reply.value.kind === "lease" || reply.value.retryAfterMs <= PATIENCE_MS) return reply;
      none ??= reply;
    }
    return none ?? ok({ kind: "none", reason: "no run is under way", retryAfterMs: ASK_AGAIN_MS });
  }

  async #leaseOf(run: Run, member: Member, samplesPerSecond: number | null): Promise<Result<LeaseReply>> {
    const { volunteer } = member;
    await run.ensureJoined(member);
    if (samplesPerSecond !== null) run.live.speed(volunteer, samplesPerSecond);
    const submitted = await run.submit({ kind: "request-lease", volunteer, samplesPerSecond, arriving: this.uploads.arriving(run.run) });
    if (!submitted.ok) return submitted;
    for (const effect of submitted.effects) {
      if (effect.kind === "assign" && effect.assignment.volunteer === volunteer) {
        run.leased(volunteer);
        await this.#leaveOthers(run, volunteer);
        return ok({ kind: "lease", assignment: run.assignmentMessage(effect.assignment) });
      }
      if (effect.kind === "no-lease" && effect.volunteer === volunteer) {
        if (effect.code === "blocked" || effect.code === "too-many-assignments")
          return refuse(effect.code, effect.reason, effect.retryAfterMs);
        return ok({ kind: "none", reason: effect.reason, retryAfterMs: effect.retryAfterMs });
      }
    }
    return ok({ kind: "none", reason: submitted.reason, retryAfterMs: ASK_AGAIN_MS });
  }

  /** Takes up the uploads that an earlier process left unfinished, where their answers would still be admitted. */
  resumeUploads(): Promise<number> {
    return this.uploads.resume((header) => {
      const run = this.#options.runs.get(header.run);
      return run !== undefined && run.loop.fault === null && checkHeader(run, header) === null;
    });
  }

  /** A version was made: what was on its way to leases that went with it is of no use any more. */
  endRound(run: string, version: number): void {
    const isThere = (lease: string): boolean => this.#options.runs.get(run)?.hasLease(lease) === true;
    this.uploads.endRound(run, version, isThere);
    const refused = this.#refusedUploads.get(run);
    for (const key of refused?.keys() ?? []) if (!isThere(key.slice(0, key.indexOf("/")))) refused?.delete(key);
    if (refused?.size === 0) this.#refusedUploads.delete(run);
  }

  /** A volunteer counts where it works: it leaves the runs where it has not worked for a while, or where there is nothing more to do. */
  async #leaveOthers(here: Run, volunteer: string): Promise<void> {
    for (const run of this.#options.runs.values())
      if (run !== here && run.isVisitedNoMore(volunteer)) await run.submit({ kind: "leave", volunteer, reason: "goodbye" });
  }

  async contribution(member: Member, { header, signature }: ContributionOpen): Promise<Result<ContributionOpened>> {
    const run = this.#options.runs.get(header.run);
    if (run === undefined) return refuse("unknown-run", `there is no run ${header.run}`);
    if (header.volunteer !== member.volunteer) return refuse("not-your-lease", "the header names another volunteer");
    if (run.loop.fault !== null)
      return refuse(run.loop.fault.code, `the coordinator cannot store: ${run.loop.fault.message}`, ASK_AGAIN_MS);
    const admitted = run.verdicts.get(header);
    const refusal = admitted === undefined ? checkHeader(run, header) : null;
    // What is no fault of the content is refused before anything costly is done.
    if (refusal !== null && !FAULTS_OF_CONTENT.has(refusal.code)) return refusal;
    if (admitted === undefined && this.#refusals(header) >= MAX_REFUSED_UPLOADS) return refuse("lease-expired", NO_MORE_UPLOADS);
    const isSigned = await this.#options.verify(header.volunteer, SIGNING_DOMAINS.contribution, header, signature);
    const fault = isSigned ? refusal : refuse("bad-signature", "the header is not signed by the volunteer it names");
    if (fault !== null) {
      if (isHolder(run, header)) await this.spoiled(header, fault.code, fault.message);
      return fault;
    }
    if (admitted !== undefined) return ok(this.uploads.remember(header, ok({ kind: "admitted", version: admitted })));
    return this.uploads.open(header, signature, member.session.port.address);
  }

  chunk(member: Member, header: ChunkHeader, payload: Uint8Array): Promise<Result<ChunkReply>> {
    if (!this.#options.runs.has(header.run)) return Promise.resolve(refuse("unknown-run", `there is no run ${header.run}`));
    return this.uploads.chunk(member.volunteer, header, payload);
  }

  async release(member: Member, ref: AssignmentRef): Promise<Result<null>> {
    const found = this.#ownAssignment(member, ref);
    if (!found.ok) return found;
    const { lease, attempt } = ref;
    const submitted = await found.value.submit({ kind: "release", volunteer: member.volunteer, lease, attempt });
    return submitted.ok ? ok(null) : submitted;
  }

  progress(member: Member, progress: Progress): Result<null> {
    if (progress.of < 1 || progress.done > progress.of) return refuse("bad-message", "done is a part of of");
    const found = this.#ownAssignment(member, progress);
    if (!found.ok) return found;
    const { live } = found.value;
    live.progress(progress.lease, progress.attempt, progress.done / progress.of);
    if (progress.spentMs !== undefined) live.spent(member.volunteer, progress.spentMs);
    return ok(null);
  }

  async leave(member: Member): Promise<Result<null>> {
    await this.leaveAll(member.volunteer, "goodbye");
    return ok(null);
  }

  async leaveAll(volunteer: string, reason: "goodbye" | "silent" | "restart"): Promise<void> {
    for (const run of this.#options.runs.values()) if (run.isPresent(volunteer)) await run.submit({ kind: "leave", volunteer, reason });
  }

  #ownAssignment(member: Member, { run: id, lease, attempt }: AssignmentRef): Result<Run> {
    const run = this.#options.runs.get(id);
    if (run === undefined) return refuse("unknown-run", `there is no run ${id}`);
    const assignment = findAssignment(run.loop.state, lease, attempt);
    if (assignment === null) return refuse("unknown-lease", `lease ${lease} attempt ${attempt} is not one of the open round`);
    if (assignment.volunteer !== member.volunteer) return refuse("not-your-lease", `lease ${lease} attempt ${attempt} is another's`);
    if (assignment.end !== null) return refuse("lease-expired", `the assignment is over: ${assignment.end}`);
    return ok(run);
  }

  // What becomes of a whole upload.

  follow(name: string, { run, sha256, codec }: ContributionHeader, sizeBytes: number): void {
    const parameters = this.#options.runs.get(run)?.parameters;
    if (parameters !== undefined) this.#options.compute.follow?.({ name, run, sha256, codec, parameters }, sizeBytes);
  }

  async takeIn(name: string, { run: id, sha256, codec }: ContributionHeader): Promise<Result<Inspection>> {
    const run = this.#options.runs.get(id);
    if (run === undefined) return refuse("unknown-run", `there is no run ${id}`);
    // From before it is stored until it is admitted or not, in `admit`.
    await run.retention.hold(sha256);
    try {
      const found = await this.#options.compute.takeIn({ name, run: id, sha256, codec, parameters: run.parameters });
      if (!found.ok) run.retention.release(sha256);
      return ok(found);
    } catch (error) {
      run.retention.release(sha256);
      return refuse(codeOf(error), `the contribution could not be stored: ${messageOf(error)}`, ASK_AGAIN_MS);
    }
  }

  async admit(header: ContributionHeader, signature: Signature, norm: number): Promise<Result<ChunkReply>> {
    const run = this.#options.runs.get(header.run);
    if (run === undefined) return refuse("unknown-run", `there is no run ${header.run}`);
    const submitted = await run.submit({ kind: "contribution", header, signature, norm });
    run.retention.release(header.sha256);
    if (!submitted.ok) return submitted;
    for (const effect of submitted.effects)
      if (
        effect.kind === "verdict" &&
        effect.lease === header.lease &&
        effect.attempt === header.attempt &&
        effect.volunteer === header.volunteer
      ) {
        this.#options.counters.add(effect.verdict.ok ? "contributions.admitted" : "contributions.refused");
        if (effect.verdict.ok) return ok({ kind: "admitted", version: effect.verdict.version });
        // The very same answer was admitted before: the same verdict again.
        const admitted = effect.verdict.code === "duplicate" ? run.verdicts.get(header) : undefined;
        if (admitted !== undefined) return ok({ kind: "admitted", version: admitted });
        return refuse(effect.verdict.code, effect.verdict.detail);
      }
    throw new Error(`no verdict on lease ${header.lease} of run ${header.run}`);
  }

  async spoiled(header: ContributionHeader, code: ErrorCode, detail: string): Promise<Refusal> {
    this.#options.counters.add("contributions.refused");
    const { run, volunteer, lease, attempt } = header;
    let refusal = refuse(code, detail.slice(0, 500));
    if (ERROR_CODES[code].retry) {
      const times = this.#refusals(header) + 1;
      const ofRun = this.#refusedUploads.get(run) ?? new Map<string, number>();
      this.#refusedUploads.set(run, ofRun.set(`${lease}/${attempt}`, times));
      // A code that is not forgiven: the assignment ends, and somebody else gets the lease.
      if (times >= MAX_REFUSED_UPLOADS) refusal = refuse("bad-payload", `${NO_MORE_UPLOADS}; the last: ${refusal.message}`.slice(0, 500));
    }
    const input = { kind: "refused", volunteer, lease, attempt, code: refusal.code, detail: refusal.message } as const;
    await this.#options.runs.get(run)?.submit(input);
    return refusal;
  }

  #refusals({ run, lease, attempt }: ContributionHeader): number {
    return this.#refusedUploads.get(run)?.get(`${lease}/${attempt}`) ?? 0;
  }
}

const NO_MORE_UPLOADS = `${MAX_REFUSED_UPLOADS} uploads of this assignment were refused`;

export const BLOCKED = refuse("blocked", "this volunteer is blocked by the run's administrator");

const codeOf = (error: unknown): ErrorCode => {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "disk-full" || code === "damaged" ? code : "unavailable";
};

/** True where the sender really holds this lease: only then does its mistake belong in the ledger, which strangers must not fill. */
function isHolder(run: Run, { lease, attempt, volunteer }: ContributionHeader): boolean {
  const assignment = findAssignment(run.loop.state, lease, attempt);
  return assignment !== null && assignment.volunteer === volunteer && assignment.end === null;
}

/** Codes that say something of the answer itself: the run is told, which ends the assignment and gives the lease to others. */
const FAULTS_OF_CONTENT: ReadonlySet<ErrorCode> = new Set([...CONTENT_FAULTS, "wrong-length", "bad-signature"]);

/** Everything about a header that can be refused before a byte is sent; whether the lease is still wanted is asked again at the end. */
function checkHeader(run: Run, header: ContributionHeader): Refusal | null {
  const refusal = checkContribution(run.loop.state, header);
  if (refusal !== null) return refusal;
  const { least, most } = run.contributionBytes(header.codec);
  if (header.sizeBytes < least || header.sizeBytes > most)
    return refuse(
      "wrong-length",
      `an update of this run has ${least === most ? most : `${least} to ${most}`} bytes in ${header.codec}, not ${header.sizeBytes}`,
    );
  return null;
}
