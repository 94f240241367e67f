// What a lease asks of the engine, from its specification, its assignment and its plan. Knows no engine and no connection.
import { f32FromHex, leaseNumber } from "@weft/protocol";
import type { CodecStream, LeaseWork, LocalSteps } from "@weft/tensors";
import { JobFault } from "./faults.ts";
import { type Plan, pieces } from "./plan.ts";
import type { Work } from "./ports.ts";

/** The random numbers of the lease's encoding: whoever holds the lease draws the same. */
export const streamOf = ({ assignment, spec }: Work): CodecStream => ({ seed: spec.seed, lease: leaseNumber(assignment.lease) });

/** Throws a JobFault where the assignment names no learning rate. */
export function localStepsOf({ assignment, spec }: Work, plan: Plan): LocalSteps {
  if (spec.training.mode !== "local-steps") throw new Error("a gradient is no local step");
  const { inner } = spec.training;
  const learningRate = assignment.learningRate === undefined ? Number.NaN : f32FromHex(assignment.learningRate);
  if (!Number.isFinite(learningRate)) throw new JobFault("bad-message", "The lease names no learning rate for its local steps.");
  return {
    steps: pieces(plan),
    optimizer: inner.optimizer,
    learningRate,
    clipNorm: inner.clipNorm ?? Number.POSITIVE_INFINITY,
    state: inner.keepState ? assignment.run : null,
  };
}

/** The whole lease, for an engine that encodes its update too. Throws a JobFault as `localStepsOf` does. */
export function leaseWorkOf(work: Work, plan: Plan): LeaseWork {
  const encoding = { codec: work.assignment.codec, stream: streamOf(work) };
  return work.spec.training.mode === "local-steps"
    ? { ...encoding, kind: "local-steps", work: localStepsOf(work, plan) }
    : { ...encoding, kind: "gradient", steps: pieces(plan) };
}
