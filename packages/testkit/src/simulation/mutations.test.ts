// Every invariant can fail: the simulation is broken on purpose, one way at a time, and says which promise that breaks.
import { describe, expect, test } from "vitest";
import { INVARIANTS, type InvariantName } from "./invariants.ts";
import { MUTATION_NAMES, MUTATIONS, type Mutation, type MutationName } from "./mutations.ts";
import { planOf, type SimulationOptions } from "./plan.ts";
import { simulate } from "./simulate.ts";

const MOST_SEEDS = 60;
/** Of those that are drawn; a fault that a mutation needs may be rare. */
const LAST_SEED = 2_000;
const formOf = (seed: number): SimulationOptions => ({ seed, size: "small", volunteers: 6, versions: 5 });

/** Of the first seed in which anything is. Not in every seed a lease comes back, the power goes, or somebody rolls back. */
async function firstBroken(mutation: MutationName): Promise<InvariantName | null> {
  const { needs }: Mutation = MUTATIONS[mutation];
  for (let seed = 0, run = 0; seed < LAST_SEED && run < MOST_SEEDS; seed += 1) {
    if (needs !== undefined && !planOf(formOf(seed)).faults.has(needs)) continue;
    run += 1;
    const { violation } = await simulate({ ...formOf(seed), mutation });
    if (violation !== null) return violation.invariant;
  }
  return null;
}

describe("broken on purpose", { timeout: 300_000 }, () => {
  for (const name of MUTATION_NAMES)
    test(`${MUTATIONS[name].sentence} This breaks "${MUTATIONS[name].breaks}".`, async () => {
      expect(await firstBroken(name)).toBe(MUTATIONS[name].breaks);
    });

  test("every invariant is broken by one of these", () => {
    const broken = new Set(MUTATION_NAMES.map((name) => MUTATIONS[name].breaks));
    expect([...broken].sort()).toEqual(Object.keys(INVARIANTS).sort());
  });

  test("nothing is found where nothing is broken", async () => {
    for (let seed = 0; seed < 10; seed += 1) expect((await simulate(formOf(seed))).violation).toBeNull();
  });
});
