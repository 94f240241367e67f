// Which versions are evaluated and kept as checkpoints, and the effects that ask for what has not been done yet.
// Knows nothing of how either is done.
import type { RunSpec } from "@weft/protocol";
import type { Effect } from "./inputs.ts";
import type { ReadonlyRun } from "./state.ts";

const isDue = (version: number, steps: number, everyVersions: number, spec: RunSpec): boolean =>
  steps >= spec.training.versions || version % everyVersions === 0;

/** Of a version that a round made: every n-th, and the last. A run's first version and one made by rolling back are evaluated always. */
export const isEvaluationDue = (spec: RunSpec, version: number, steps: number): boolean =>
  isDue(version, steps, spec.evaluation.everyVersions, spec);
/** Of a version that a round made: every n-th, and the last. The others are in no need of one: they are noise, or stand elsewhere. */
export const isCheckpointDue = (spec: RunSpec, version: number, steps: number): boolean =>
  isDue(version, steps, spec.checkpoints.everyVersions, spec);

/** Effects named at once: a worker that is behind is not told the same hundred things each second. */
const MAX_OWED_EFFECTS = 8;

/** What is still owed, oldest first. A checkpoint waits for the evaluation of its version. */
export function owedEffects({ owed }: ReadonlyRun): Effect[] {
  const effects: Effect[] = [];
  for (const [version, weights] of owed.evaluations) {
    if (effects.length >= MAX_OWED_EFFECTS) return effects;
    effects.push({ kind: "evaluate", version, weights });
  }
  for (const version of owed.checkpoints.keys()) {
    if (effects.length >= MAX_OWED_EFFECTS) return effects;
    if (!owed.evaluations.has(version)) effects.push({ kind: "checkpoint", version });
  }
  return effects;
}
