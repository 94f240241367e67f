// The invariants can fail: the coordinator is broken on purpose, one way at a time, and the simulation says which promise that breaks.
import type { Compute } from "@weft/coordinator";
import type { Storage } from "@weft/storage";
import type * as Training from "@weft/training";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Tampering } from "./host.ts";
import type { InvariantName } from "./invariants.ts";
import { simulate } from "./simulate.ts";

type Way = "none" | "promises too early" | "admits nothing and says so" | "publishes in another order" | "never publishes";
const broken = vi.hoisted(() => ({ way: "none" as string }));

vi.mock("@weft/training", async (importActual) => {
  const actual = await importActual<typeof Training>();
  const is = (way: Way): boolean => broken.way === way;
  const decide: typeof actual.decide = (state, input, nowMs) => {
    const decision = actual.decide(state, input, nowMs);
    if (is("admits nothing and says so") && input.kind === "contribution") {
      const { volunteer, lease, attempt } = input.header;
      return { ...decision, events: [], effects: [{ kind: "verdict", volunteer, lease, attempt, verdict: { ok: true, version: 1 } }] };
    }
    if (is("never publishes") && input.kind === "closed") return { ...decision, events: [], effects: [] };
    const events = decision.events.map((event) => {
      if (is("publishes in another order") && event.type === "version-published")
        return { ...event, contributions: [...event.contributions].reverse() };
      return event;
    });
    return { ...decision, events };
  };
  return {
    ...actual,
    decide,
    DURABLE: { has: (type: never) => !is("promises too early") && actual.DURABLE.has(type) },
  };
});

beforeEach(() => {
  broken.way = "none";
});

/** The promises that seed after seed finds broken, until one of `wanted` is among them. */
async function firstBroken(wanted: readonly InvariantName[], tampering: Tampering = {}): Promise<InvariantName | null> {
  for (let seed = 0; seed < 30; seed += 1) {
    const { violation } = await simulate({ seed, size: "small", volunteers: 6, versions: 5 }, { tampering });
    if (violation !== null && wanted.includes(violation.invariant)) return violation.invariant;
  }
  return null;
}

const withLedger =
  (ledger: (inner: Storage["ledger"]) => Storage["ledger"]) =>
  (inner: Storage): Storage => ({
    recovered: inner.recovered,
    blobs: inner.blobs,
    contributions: inner.contributions,
    close: () => inner.close(),
    ledger: ledger(inner.ledger),
  });

describe("a coordinator that is broken on purpose", { timeout: 300_000 }, () => {
  test("storage that calls a record durable before it is on disk: what was acknowledged is gone after a power cut", async () => {
    const storage = withLedger((inner) => ({
      runs: () => inner.runs(),
      read: (run, fromSeq) => inner.read(run, fromSeq),
      append: (run, records) => inner.append(run, records, "buffered"),
    }));
    const found = await firstBroken(["acknowledged-survives", "ledger-only-grows"], { storage });
    expect(["acknowledged-survives", "ledger-only-grows"]).toContain(found);
  });

  test("a coordinator that waits for no record: it acknowledges, and shows versions, that are not on disk", async () => {
    broken.way = "promises too early" satisfies Way;
    const found = await firstBroken(["acknowledged-is-stored", "shown-is-durable"]);
    expect(["acknowledged-is-stored", "shown-is-durable"]).toContain(found);
  });

  test("a coordinator that says admitted and admits nothing", async () => {
    broken.way = "admits nothing and says so" satisfies Way;
    expect(await firstBroken(["acknowledged-is-stored"])).toBe("acknowledged-is-stored");
  });

  test("a round that sums one contribution twice: the weights are not those of the ledger", async () => {
    const compute = (inner: Compute): Compute => ({
      initialWeights: (model, seed) => inner.initialWeights(model, seed),
      takeIn: (upload) => inner.takeIn(upload),
      evaluate: (spec, manifest, weights) => inner.evaluate(spec, manifest, weights),
      checkpoint: (input) => inner.checkpoint(input),
      closeRound: (run, spec, parameters, round) =>
        inner.closeRound(run, spec, parameters, { ...round, contributions: [...round.contributions, ...round.contributions.slice(0, 1)] }),
    });
    expect(await firstBroken(["replay-is-identical"], { compute })).toBe("replay-is-identical");
  });

  test("a version that lists its contributions in another order than that of their samples", async () => {
    broken.way = "publishes in another order" satisfies Way;
    expect(await firstBroken(["samples-once"])).toBe("samples-once");
  });

  test("a run whose rounds never close", async () => {
    broken.way = "never publishes" satisfies Way;
    expect(await firstBroken(["progress"])).toBe("progress");
  });

  test("storage that loses the bytes of contributions: the round can never be closed", async () => {
    const storage = (inner: Storage): Storage => ({
      ...withLedger((ledger) => ledger)(inner),
      contributions: {
        put: () => Promise.resolve(),
        get: (run, sha256) => inner.contributions.get(run, sha256),
        drop: (run, names) => inner.contributions.drop(run, names),
      },
    });
    expect(await firstBroken(["progress"], { storage })).toBe("progress");
  });

  test("nothing is found where nothing is broken", async () => {
    for (let seed = 0; seed < 5; seed += 1)
      expect((await simulate({ seed, size: "small", volunteers: 6, versions: 5 })).violation).toBeNull();
  });
});
