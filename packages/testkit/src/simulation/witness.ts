// What watches the coordinator from outside: between it and its storage it sees every record that is written, stored and read; between it
// and its connections everything that is said. Each sight is checked at once (invariants.ts). Knows no fault and no volunteer.
import { isDeepStrictEqual } from "node:util";
import type { Coordinator, VolunteerPort, VolunteerSession } from "@weft/coordinator";
import { canonicalJson } from "@weft/ledger";
import {
  type Assignment,
  CHUNK_BYTES,
  type ContributionHeader,
  decodeFrame,
  ERROR_CODES,
  type LeaseReply,
  type LedgerRecord,
  type Result,
  type RevokeNotice,
  type WorkNotice,
} from "@weft/protocol";
import type { Storage } from "@weft/storage";
import type { HostWatch } from "./host.ts";
import { answerKey, hold, Violation } from "./invariants.ts";
import { Ledger } from "./witnessed-ledger.ts";

export class Witness implements HostWatch {
  readonly ledgers = new Map<string, Ledger>();
  readonly #fail: (violation: Violation) => void;
  /** Whose live state is compared; null while there is none. */
  #coordinator: Pick<Coordinator, "inside"> | null = null;
  /** Processes are numbered: a dead one's last words count for nothing. */
  #process = 0;
  #compared = new Map<string, string>();
  /** In which process the first chunk of each unfinished upload was taken. */
  readonly #begun = new Map<string, number>();
  /** Uploads that went on, by chunk, in another process than the one in which they began. */
  resumed = 0;
  /** Runs that went on from a version of another. */
  wentOn = 0;

  constructor(fail: (violation: Violation) => void) {
    this.#fail = fail;
  }

  broken(sentence: string): void {
    this.#fail(new Violation("nothing-breaks", sentence));
  }

  ended(isClean: boolean): void {
    this.#process += 1;
    this.#coordinator = null;
    // After a stop in order everything is on disk.
    if (isClean)
      for (const ledger of this.ledgers.values())
        ledger.durable = Math.max(ledger.durable, Math.min(ledger.records.length, ledger.refusedFrom));
  }

  storage(inner: Storage): Storage {
    const process = this.#process;
    // What a new process finds was synced at its opening; what it reads again later may still be under way.
    const unopened = new Set(this.ledgers.keys());
    return {
      ...inner,
      recovered: inner.recovered,
      blobs: inner.blobs,
      contributions: inner.contributions,
      close: () => inner.close(),
      ledger: {
        runs: async () => {
          const runs = await inner.ledger.runs();
          if (process === this.#process) this.#checked(() => this.#found(runs, unopened));
          return runs;
        },
        append: async (run, records, durability) => {
          if (process === this.#process) this.#checked(() => this.#appended(run, records));
          // Durable is everything up to here: an empty durable append waits for what was refused before and kept.
          const count = this.ledgers.get(run)?.records.length ?? 0;
          try {
            await inner.ledger.append(run, records, durability);
          } catch (error) {
            const first = records[0];
            if (first !== undefined && process === this.#process) this.#withdrawn(run, first.seq);
            throw error;
          }
          if (durability === "durable" && process === this.#process) this.#stored(run, count);
        },
        read: (run, fromSeq = 0) => this.#reading(run, fromSeq, inner.ledger.read(run, fromSeq), () => process === this.#process, unopened),
      },
    };
  }

  coordinator(inner: Pick<Coordinator, "connect" | "inside">): Pick<Coordinator, "connect"> {
    this.#coordinator = inner;
    return { connect: (port) => this.#watchedSession(inner, port) };
  }

  /** After every event of the simulation: cheap, and whole only where a run has made a version since. */
  look(): void {
    const coordinator = this.#coordinator;
    if (coordinator === null) return;
    const { runs, ...sizes } = coordinator.inside();
    for (const { run, state, head, queuedInputs } of runs) {
      const ledger = this.ledgers.get(run);
      if (ledger === undefined || state === null) continue;
      const last = ledger.records.at(-1) as LedgerRecord;
      hold(
        "fold-is-state",
        head.seq === last.seq && head.hash === last.hash,
        () => `${run}: the coordinator stands at record ${head.seq}, ${last.seq} was appended`,
      );
      hold(
        "fold-is-state",
        state.version === ledger.state.version && state.phase === ledger.state.phase,
        () => `${run}: version or phase differ from the ledger's`,
      );
      hold(
        "holdings-are-bounded",
        queuedInputs <= 64 + 40 * sizes.connections,
        () => `${run}: ${queuedInputs} inputs wait with ${sizes.connections} connections`,
      );
      const mark = `${state.version} ${state.phase}`;
      if (this.#compared.get(run) === mark) continue;
      this.#compared.set(run, mark);
      hold("fold-is-state", isDeepStrictEqual(state, ledger.state), () => `${run}: the live state is not the fold of its ledger`);
    }
    const known = runs.reduce((sum, { state }) => sum + (state?.volunteers.size ?? 0), 0);
    hold("holdings-are-bounded", sizes.uploads <= 2 * (sizes.connections + known), () => `${sizes.uploads} uploads of ${known} volunteers`);
    hold("holdings-are-bounded", sizes.verdicts <= 1_024, () => `${sizes.verdicts} verdicts are kept`);
  }

  /** Also after a crash. */
  isOver(): boolean {
    return (
      this.ledgers.size > 0 &&
      [...this.ledgers.values()].every((ledger) => ledger.book.ended !== null && ledger.isOnDisk(ledger.book.endedBy))
    );
  }

  #checked(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (error instanceof Violation) this.#fail(error);
      else this.broken(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  #appended(run: string, records: readonly LedgerRecord[]): void {
    for (const record of records) {
      const ledger = this.ledgers.get(run);
      if (ledger !== undefined) ledger.append(record);
      else {
        this.#goesOn(record);
        this.ledgers.set(run, new Ledger(run, record));
      }
    }
  }
  #withdrawn(run: string, seq: number): void {
    const ledger = this.ledgers.get(run);
    if (ledger !== undefined) ledger.refusedFrom = Math.min(ledger.refusedFrom, seq);
    // A run whose first record is refused does not exist, unless the next opening finds it on disk all the same.
    if (seq === 0) this.ledgers.delete(run);
  }
  /** At an opening: a run that is gone was never promised to anybody. */
  #found(runs: readonly string[], unopened: ReadonlySet<string>): void {
    for (const run of unopened) {
      const ledger = this.ledgers.get(run);
      if (ledger === undefined || runs.includes(run)) continue;
      hold("ledger-only-grows", ledger.durable === 0, () => `the run ${run} is gone, of which ${ledger.durable} records were on disk`);
      this.ledgers.delete(run);
    }
  }
  #goesOn({ event }: LedgerRecord): void {
    if (event.type !== "run-created" || event.origin == null) return;
    const { origin, spec, weights } = event;
    const parent = this.ledgers.get(origin.run);
    const point = parent?.book.pointOf(origin.version);
    const what = `${event.run}, which goes on from version ${origin.version} of ${origin.run},`;
    hold("goes-on-from-there", parent !== undefined && point !== undefined, () => `${what} goes on from nothing`);
    const madeBy = parent.book.madeBy.get(origin.version) ?? Number.POSITIVE_INFINITY;
    hold("goes-on-from-there", parent.isOnDisk(madeBy), () => `${what} is made before that version is on disk`);
    const isNamed = origin.seq === madeBy && origin.head === parent.records[madeBy]?.hash;
    hold("goes-on-from-there", isNamed, () => `${what} names record ${origin.seq}, not ${madeBy}`);
    const { spec: before } = parent.book;
    const isSameStream =
      spec.seed === before.seed && spec.dataset === before.dataset && canonicalJson(spec.sampler) === canonicalJson(before.sampler);
    const isSameKind = spec.training.optimizer.kind === before.training.optimizer.kind;
    const isThere =
      weights.sha256 === point.weights.sha256 &&
      origin.position === (isSameStream ? point.position : 0) &&
      origin.steps === (isSameStream ? point.steps : 0) &&
      origin.optimizer?.sha256 === (isSameKind ? point.optimizer?.sha256 : undefined);
    hold("goes-on-from-there", isThere, () => `${what} begins elsewhere`);
    this.wentOn += 1;
  }
  #stored(run: string, count: number): void {
    const ledger = this.ledgers.get(run);
    if (ledger !== undefined) ledger.durable = Math.max(ledger.durable, count);
  }

  async *#reading(
    run: string,
    fromSeq: number,
    records: AsyncIterable<LedgerRecord>,
    isAlive: () => boolean,
    unopened: Set<string>,
  ): AsyncGenerator<LedgerRecord> {
    // Who reads an open run looks something up, while more may be written; only an opening believes nothing but what it reads.
    if (this.#coordinator?.inside().runs.some((open) => open.run === run && open.state !== null) === true) return yield* records;
    const read: LedgerRecord[] = [];
    for await (const record of records) {
      read.push(record);
      yield record;
    }
    if (!isAlive() || fromSeq > 0) return;
    const isFirst = unopened.delete(run);
    this.#checked(() => {
      const ledger = this.ledgers.get(run);
      if (ledger === undefined) {
        const [first, ...rest] = read;
        if (first === undefined) return;
        const found = new Ledger(run, first);
        for (const record of rest) found.append(record);
        this.ledgers.set(run, found);
      } else {
        ledger.reread(read);
        this.#compared.delete(run);
      }
      // A run whose making was refused, and which is there all the same, is one that nobody has seen before.
      if (isFirst || ledger === undefined) this.#stored(run, read.length);
    });
  }

  // What is said.

  #watchedSession(coordinator: Pick<Coordinator, "connect">, port: VolunteerPort): VolunteerSession {
    const process = this.#process;
    let volunteer: string | null = null;
    const session = coordinator.connect({
      address: port.address,
      origin: port.origin ?? null,
      send: (event: "challenge" | "work" | "revoke", message: never) => {
        if (process !== this.#process) return;
        this.#checked(() => this.#noticed(event, message, volunteer));
        port.send(event as "challenge", message);
      },
      close: () => {
        if (process === this.#process) port.close();
      },
    });
    return {
      handle: async (event, message) => {
        if (process !== this.#process) return new Promise<never>(() => undefined);
        const reply = await session.handle(event, message);
        if (process !== this.#process) return new Promise<never>(() => undefined);
        if (event === "hello" && reply.ok) volunteer = (reply.value as { readonly volunteer: string }).volunteer;
        this.#checked(() => this.#replied(event, message, reply, volunteer));
        return reply;
      },
      disconnected: () => {
        if (process === this.#process) session.disconnected();
      },
    };
  }

  #noticed(event: string, message: unknown, volunteer: string | null): void {
    if (event === "work") {
      const { run, version } = message as WorkNotice;
      this.#shown(run, version, "a notice of work");
    } else if (event === "revoke" && volunteer !== null) {
      const { run, lease, attempt } = message as RevokeNotice;
      const isLive = this.ledgers.get(run)?.book.isLive({ lease, attempt, volunteer }) === true;
      hold("offered-is-recorded", !isLive, () => `lease ${lease} is revoked and stands in the ledger as live`);
    }
  }

  #shown(run: string, version: number, what: string): void {
    const ledger = this.ledgers.get(run);
    const madeBy = ledger?.book.madeBy.get(version);
    hold(
      "shown-is-durable",
      ledger !== undefined && madeBy !== undefined && ledger.isOnDisk(madeBy),
      () => `${what} names version ${version} of ${run}, whose record is not on disk`,
    );
  }

  #replied(event: string, message: unknown, reply: Result<unknown>, volunteer: string | null): void {
    if (!reply.ok) {
      hold(
        "nothing-breaks",
        reply.code !== "internal" && reply.code !== "damaged",
        () => `${event} is answered with ${reply.code}: ${reply.message}`,
      );
      if (event === "contribution") this.#refusedAgain(message, reply.code, volunteer);
      return;
    }
    if (volunteer === null) return;
    if (event === "lease") {
      const value = reply.value as LeaseReply;
      if (value.kind === "lease") this.#offered(value.assignment, volunteer);
    } else if (event === "hello") {
      for (const assignment of (reply.value as { readonly open: readonly Assignment[] }).open) this.#offered(assignment, volunteer);
    } else if (event === "contribution") {
      const { header } = message as { readonly header: ContributionHeader };
      const key = `${header.run}/${answerKey(header)}`;
      const { nextChunk } = reply.value as { readonly nextChunk: number };
      const begun = this.#begun.get(key);
      if (header.sizeBytes > CHUNK_BYTES && nextChunk > 0 && begun !== undefined && begun !== this.#process) {
        this.resumed += 1;
        this.#begun.delete(key);
      }
    } else if (event === "chunk") {
      if ((reply.value as { readonly kind: string }).kind === "admitted") this.#acknowledged(message, volunteer);
      else {
        const of = decodeFrame(message as Uint8Array)?.header as Pick<ContributionHeader, "run" | "lease" | "attempt">;
        this.#begun.set(`${of.run}/${answerKey({ ...of, volunteer })}`, this.#process);
      }
    }
  }

  #offered({ run, lease, attempt, version, weights }: Assignment, volunteer: string): void {
    const book = this.ledgers.get(run)?.book;
    hold(
      "offered-is-recorded",
      book?.wasGiven({ lease, attempt, volunteer }) === true,
      () => `attempt ${attempt} at lease ${lease} is given to ${volunteer} and not in the ledger`,
    );
    hold(
      "offered-is-recorded",
      book.pointOf(version)?.weights.sha256 === weights.sha256,
      () => `lease ${lease} names other weights than those of version ${version}`,
    );
    this.#shown(run, version, `lease ${lease}`);
  }

  #acknowledged(message: unknown, volunteer: string): void {
    const header = decodeFrame(message as Uint8Array)?.header as Pick<ContributionHeader, "run" | "lease" | "attempt">;
    const ledger = this.ledgers.get(header.run);
    const answer = { lease: header.lease, attempt: header.attempt, volunteer };
    const admitted = ledger?.book.admitted.get(answerKey(answer));
    hold(
      "acknowledged-is-stored",
      ledger !== undefined && admitted !== undefined,
      () => `${answerKey(answer)} is acknowledged and was not admitted`,
    );
    hold(
      "acknowledged-is-stored",
      ledger.isOnDisk(admitted.seq),
      () => `${answerKey(answer)} is acknowledged before its record ${admitted.seq} is on disk`,
    );
    ledger.acknowledged.set(answerKey(answer), { ...answer, sha256: admitted.sha256 });
  }

  /** The very same answer, acknowledged before: it may be told to wait, never that it does not count. */
  #refusedAgain(message: unknown, code: keyof typeof ERROR_CODES, volunteer: string | null): void {
    const header = (message as { readonly header?: ContributionHeader }).header;
    if (header === undefined || volunteer === null || header.volunteer !== volunteer || ERROR_CODES[code].retry || code === "bad-signature")
      return;
    const before = this.ledgers.get(header.run)?.acknowledged.get(answerKey(header));
    hold(
      "acknowledged-survives",
      before?.sha256 !== header.sha256,
      () => `the acknowledged answer ${answerKey(header)} is refused as ${code} when it comes again`,
    );
  }

  /** A command was answered that was given when the ledger had `fromSeq` records: what it did is on disk. */
  commanded(run: string, event: LedgerRecord["event"]["type"], fromSeq: number): void {
    const ledger = this.ledgers.get(run);
    if (ledger === undefined) return;
    const done = ledger.records.slice(fromSeq).find((record) => record.event.type === event);
    this.#checked(() =>
      hold(
        "shown-is-durable",
        done !== undefined && ledger.isOnDisk(done.seq),
        () => `a command on ${run} is answered before its ${event} is on disk`,
      ),
    );
  }
}
