// Ways to break the coordinator, or what it stands on, on purpose: at least one for every invariant, so that each is seen to turn red. They
// stand at its edges (what it writes, answers, computes and keeps), so nothing of it has to know of them.
import type { Compute, Coordinator, VolunteerSession } from "@weft/coordinator";
import { type ContributionHeader, decodeFrame, type LedgerEvent, ok, type Result, refuse } from "@weft/protocol";
import { type Storage, StorageFault } from "@weft/storage";
import type { VolunteerEngine } from "@weft/volunteer";
import type { FaultName } from "./faults.ts";
import { answerKey, type InvariantName } from "./invariants.ts";

export interface Tampering {
  /** What storage does, beneath what watches it. */
  readonly storage?: (inner: Storage) => Storage;
  /** What the coordinator writes and reads, as what watches it sees it. */
  readonly ledger?: (inner: Storage["ledger"]) => Storage["ledger"];
  readonly compute?: (inner: Compute) => Compute;
  /** What the coordinator answers, and what it shows of its inside. */
  readonly coordinator?: (inner: Pick<Coordinator, "connect" | "inside">) => Pick<Coordinator, "connect" | "inside">;
  readonly engine?: (inner: VolunteerEngine) => VolunteerEngine;
}

export interface Mutation {
  readonly sentence: string;
  readonly breaks: InvariantName;
  /** Nothing of it shows where this fault does not strike. */
  readonly needs?: FaultName;
  /** Once for each simulation. */
  readonly make: () => Tampering;
}

const withLedger =
  (change: (inner: Storage["ledger"]) => Partial<Storage["ledger"]>) =>
  (inner: Storage["ledger"]): Storage["ledger"] => ({
    runs: () => inner.runs(),
    append: (run, records, durability) => inner.append(run, records, durability),
    read: (run, fromSeq) => inner.read(run, fromSeq),
    ...change(inner),
  });
const withParts =
  (change: (inner: Storage) => Partial<Storage>) =>
  (inner: Storage): Storage => ({
    recovered: inner.recovered,
    blobs: inner.blobs,
    contributions: inner.contributions,
    ledger: inner.ledger,
    close: () => inner.close(),
    ...change(inner),
  });
const withCompute =
  (change: (inner: Compute) => Partial<Compute>) =>
  (inner: Compute): Compute => ({
    initialWeights: (model, seed) => inner.initialWeights(model, seed),
    takeIn: (upload) => inner.takeIn(upload),
    closeRound: (run, spec, parameters, round) => inner.closeRound(run, spec, parameters, round),
    evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
    checkpoint: (input) => inner.checkpoint(input),
    ...change(inner),
  });

/** Other facts than those that were decided. */
const writing = (change: (event: LedgerEvent) => LedgerEvent): Tampering => ({
  ledger: withLedger((inner) => ({
    append: (run, records, durability) =>
      inner.append(
        run,
        records.map((record) => ({ ...record, event: change(record.event) })),
        durability,
      ),
  })),
});

type Ask = () => Promise<Result<unknown>>;
/** Other answers than those that were given, or none asked for at all. */
const answering = (change: (event: string, message: unknown, ask: Ask) => Promise<Result<unknown>>): Tampering => ({
  coordinator: (inner) => ({
    inside: () => inner.inside(),
    connect: (port): VolunteerSession => {
      const session = inner.connect(port);
      return {
        handle: (event, message) => change(event, message, () => session.handle(event, message)),
        disconnected: (silentMs) => session.disconnected(silentMs),
      };
    },
  }),
});

const never = new Promise<never>(() => undefined);

export const MUTATIONS = {
  "skips-a-version": {
    sentence: "A version is published under the number after the next.",
    breaks: "versions-rise-by-one",
    make: () => writing((event) => (event.type === "version-published" ? { ...event, version: event.version + 1 } : event)),
  },
  "counts-in-another-order": {
    sentence: "A version lists its contributions in another order than that of their samples.",
    breaks: "samples-once",
    make: () =>
      writing((event) => (event.type === "version-published" ? { ...event, contributions: [...event.contributions].reverse() } : event)),
  },
  "admits-twice": {
    sentence: "A lease that is settled is settled again, where another should have been given.",
    breaks: "settled-once",
    make: () => {
      let last: LedgerEvent | null = null;
      return writing((event) => {
        if (event.type === "lease-assigned" && last !== null) return last;
        if (event.type === "contribution-admitted") last = event;
        if (event.type === "version-published" || event.type === "run-rolled-back") last = null;
        return event;
      });
    },
  },
  "admits-nothing-and-says-so": {
    sentence: "Whoever sends a chunk hears at once that its contribution is admitted.",
    breaks: "acknowledged-is-stored",
    make: () => answering((event, _message, ask) => (event === "chunk" ? Promise.resolve(ok({ kind: "admitted", version: 1 })) : ask())),
  },
  "forgets-its-verdicts": {
    sentence: "An answer that was admitted is refused when it comes again.",
    breaks: "acknowledged-survives",
    make: () => {
      const admitted = new Set<string>();
      let volunteer = "";
      return answering(async (event, message, ask) => {
        const header = (message as { readonly header?: ContributionHeader } | null)?.header;
        if (event === "contribution" && header !== undefined) {
          ({ volunteer } = header);
          if (admitted.has(`${header.run}/${answerKey(header)}`)) return refuse("lease-settled", "never heard of it");
        }
        const reply = await ask();
        if (event === "chunk" && reply.ok && (reply.value as { readonly kind: string }).kind === "admitted") {
          const of = decodeFrame(message as Uint8Array)?.header as Pick<ContributionHeader, "run" | "lease" | "attempt">;
          admitted.add(`${of.run}/${answerKey({ ...of, volunteer })}`);
        }
        return reply;
      });
    },
  },
  "counts-other-bytes": {
    sentence: "A version counts other bytes than those that were admitted.",
    breaks: "accounted-once",
    make: () =>
      writing((event) =>
        event.type === "version-published"
          ? { ...event, contributions: event.contributions.map((one, at) => (at > 0 ? one : { ...one, sha256: "a".repeat(64) })) }
          : event,
      ),
  },
  "waits-for-no-disk": {
    sentence: "Storage calls a record durable while it is on its way to the disk.",
    breaks: "ledger-only-grows",
    make: () => ({
      storage: withParts(({ ledger }) => ({
        ledger: withLedger((inner) => {
          let failure: unknown = null;
          return {
            append: async (run, records, durability) => {
              const earlier = failure;
              failure = null;
              if (earlier !== null) throw earlier;
              inner.append(run, records, durability).catch((error: unknown) => {
                failure = error;
              });
            },
          };
        })(ledger),
      })),
    }),
  },
  "folds-otherwise": {
    sentence: "Opened again, the coordinator takes every lease to end a second later.",
    breaks: "fold-is-state",
    make: () => ({
      ledger: withLedger((inner) => ({
        async *read(run, fromSeq) {
          for await (const record of inner.read(run, fromSeq))
            yield record.event.type === "lease-assigned"
              ? { ...record, event: { ...record.event, deadlineAtMs: record.event.deadlineAtMs + 1_000 } }
              : record;
        },
      })),
    }),
  },
  "offers-what-it-did-not-give": {
    sentence: "A lease is offered under another attempt than the ledger's.",
    breaks: "offered-is-recorded",
    make: () =>
      answering(async (event, _message, ask) => {
        const reply = await ask();
        const value =
          reply.ok && event === "lease" ? (reply.value as { readonly kind: string; readonly assignment: { attempt: number } }) : null;
        if (value?.kind !== "lease") return reply;
        return ok({ ...value, assignment: { ...value.assignment, attempt: value.assignment.attempt + 1 } });
      }),
  },
  "waits-for-no-version": {
    sentence: "A version is announced while its record is on its way to the disk.",
    breaks: "shown-is-durable",
    make: () => ({
      ledger: withLedger((inner) => ({
        append: (run, records, durability) => {
          const stored = inner.append(run, records, durability);
          if (!records.some(({ event }) => event.type === "version-published")) return stored;
          stored.catch(() => undefined);
          return Promise.resolve();
        },
      })),
    }),
  },
  "forgets-no-upload": {
    sentence: "Uploads that were decided on stay in memory.",
    breaks: "holdings-are-bounded",
    make: () => {
      let opened = 0;
      const counting = answering((event, _message, ask) => {
        if (event === "contribution") opened += 1;
        return ask();
      });
      return {
        coordinator: (inner) => ({
          connect: (port) => (counting.coordinator?.(inner) ?? inner).connect(port),
          inside: () => ({ ...inner.inside(), uploads: opened }),
        }),
      };
    },
  },
  "rolls-back-to-another-place": {
    sentence: "A roll-back takes up the weights of its version and another position.",
    breaks: "roll-back-restores",
    make: () => writing((event) => (event.type === "run-rolled-back" ? { ...event, position: event.position + 1 } : event)),
  },
  "goes-on-from-another-place": {
    sentence: "A run that goes on from another begins with its weights and another position.",
    breaks: "goes-on-from-there",
    needs: "resume-from",
    make: () =>
      writing((event) =>
        event.type === "run-created" && event.origin != null
          ? { ...event, origin: { ...event.origin, position: event.origin.position + 1 } }
          : event,
      ),
  },
  "loses-checkpoints": {
    sentence: "Storage loses the checkpoints that the ledger names.",
    breaks: "archive-is-whole",
    needs: "archive",
    make: () => {
      const lost = new Set<string>();
      return {
        storage: withParts(({ blobs }) => ({
          blobs: {
            put: async (bytes) => {
              const ref = await blobs.put(bytes);
              // As host.ts writes them.
              if (/^\S+ \d+ [0-9a-f]{64}$/.test(new TextDecoder().decode(bytes))) lost.add(ref.sha256);
              return ref;
            },
            get: (sha256) => (lost.has(sha256) ? Promise.resolve(null) : blobs.get(sha256)),
            getRange: (sha256, start, end) => blobs.getRange(sha256, start, end),
            size: (sha256) => blobs.size(sha256),
            delete: (sha256) => blobs.delete(sha256),
          },
        })),
      };
    },
  },
  "sums-one-twice": {
    sentence: "A round sums one contribution twice.",
    breaks: "replay-is-identical",
    make: () => ({
      compute: withCompute((inner) => ({
        closeRound: (run, spec, parameters, round) =>
          inner.closeRound(run, spec, parameters, {
            ...round,
            contributions: [...round.contributions, ...round.contributions.slice(0, 1)],
          }),
      })),
    }),
  },
  "computes-something-else": {
    sentence: "A device adds a little to each gradient, so that the weights depend on who computed.",
    breaks: "undisturbed",
    make: () => ({
      engine: (inner) => ({
        device: inner.device,
        selfTest: () => inner.selfTest(),
        load: (model, microBatch) => inner.load(model, microBatch),
        setWeights: (flat) => inner.setWeights(flat),
        step: async (batch) => {
          const { lossSum, gradientSum } = await inner.step(batch);
          return { lossSum, gradientSum: gradientSum.map((value) => value + 1) };
        },
        localSteps: (work, batches) => inner.localSteps(work, batches),
        dispose: () => inner.dispose(),
      }),
    }),
  },
  "never-evaluates": {
    sentence: "Whatever is to be evaluated never is.",
    breaks: "debts-are-paid",
    make: () => ({ compute: withCompute(() => ({ evaluate: () => never })) }),
  },
  "never-closes": {
    sentence: "Rounds are never closed.",
    breaks: "progress",
    make: () => ({ compute: withCompute(() => ({ closeRound: () => never })) }),
  },
  "loses-contributions": {
    sentence: "Storage loses the bytes of contributions, so that no round can be closed.",
    breaks: "progress",
    make: () => ({
      storage: withParts(({ contributions: inner }) => ({
        contributions: {
          put: () => Promise.resolve(),
          adopt: () => Promise.resolve(),
          get: (run, sha256) => inner.get(run, sha256),
          drop: (run, names) => inner.drop(run, names),
        },
      })),
    }),
  },
  "calls-itself-damaged": {
    sentence: "A ledger that is whole cannot be read at the next start.",
    breaks: "nothing-breaks",
    make: () => ({
      ledger: withLedger((inner) => {
        let found: readonly string[] = [];
        return {
          runs: async () => {
            found = await inner.runs();
            return found;
          },
          async *read(run, fromSeq) {
            if (found.includes(run)) throw new StorageFault("damaged", `the ledger of run ${run} is damaged, or so it is said`);
            yield* inner.read(run, fromSeq);
          },
        };
      }),
    }),
  },
} as const satisfies Record<string, Mutation>;

export type MutationName = keyof typeof MUTATIONS;
export const MUTATION_NAMES = Object.keys(MUTATIONS) as readonly MutationName[];
export const isMutationName = (name: string): name is MutationName => Object.hasOwn(MUTATIONS, name);
