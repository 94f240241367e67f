// A failing seed in words: how to run it again, and its smallest form that still fails in the same way: fewer volunteers, fewer versions,
// faults switched off one at a time.
import { commandFor } from "./command.ts";
import { FAULTS, type FaultName } from "./faults.ts";
import type { SimulationOptions } from "./plan.ts";
import { type Outcome, simulate } from "./simulate.ts";

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly outcome: Outcome;
  readonly tried: number;
}

/** Tries at most `tries` smaller forms. The answer fails with the same invariant as `failed`; it may be `failed` itself. */
export async function shrink(
  failed: Outcome,
  { tries = 80, run = simulate }: { readonly tries?: number; readonly run?: (options: SimulationOptions) => Promise<Outcome> } = {},
): Promise<Shrunk> {
  if (failed.violation === null) throw new Error("a seed that holds cannot be shrunk");
  const { invariant } = failed.violation;
  let best: Shrunk = { options: failed.options, outcome: failed, tried: 0 };
  let tried = 0;
  const better = async (options: SimulationOptions): Promise<boolean> => {
    if (tried >= tries) return false;
    tried += 1;
    const outcome = await run(options);
    if (outcome.violation?.invariant !== invariant) return false;
    best = { options, outcome, tried };
    return true;
  };
  // Only what struck can matter.
  const withoutFaults = async (): Promise<void> => {
    for (const fault of Object.keys(best.outcome.faults) as FaultName[])
      if (!(best.options.without ?? []).includes(fault))
        await better({ ...best.options, without: [...(best.options.without ?? []), fault] });
  };
  // Faults first: those that remain say most. A smaller form may be struck by others.
  await withoutFaults();
  for (const field of ["volunteers", "versions"] as const)
    for (const smaller of [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]) {
      const now = best.options[field];
      if (now !== undefined && smaller >= now) break;
      if (await better({ ...best.options, [field]: smaller })) break;
    }
  await withoutFaults();
  return { ...best, tried };
}

export function describeFailure({ options, outcome, tried }: Shrunk, first: Outcome): string {
  const struck = Object.keys(outcome.faults) as FaultName[];
  return [
    `seed ${first.options.seed} (${first.options.size}): ${outcome.violation?.message ?? "every invariant held"}`,
    `  run it again:   ${commandFor(first.options)}`,
    `  smallest form:  ${commandFor(options)}   (after ${tried} tries; ${outcome.messages} messages, ${outcome.crashes} ends of the process)`,
    ...struck.map((fault) => `    ${fault}: ${FAULTS[fault]}`),
  ].join("\n");
}
