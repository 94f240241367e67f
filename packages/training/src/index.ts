export { CONTENT_FAULTS, checkContribution } from "./admission.ts";
export { newcomersShare } from "./caps.ts";
export * from "./close-round.ts";
export { closeRoundOf } from "./closing.ts";
export { decide } from "./decide.ts";
export { hasDeltas } from "./downlink.ts";
export { evolve, foldRun, ImpossibleEvent, initialState } from "./evolve.ts";
export * from "./inputs.ts";
export {
  type AssignmentStanding,
  type LeaseStanding,
  leadsTo,
  MACHINES,
  type Machine,
  type MachineName,
  type RoundStanding,
  type RunStanding,
} from "./machine.ts";
export { MAX_LIVE_ASSIGNMENTS, tailAgeMs } from "./offers.ts";
export * from "./optimizers/outer-optimizer.ts";
export * from "./optimizers/outer-optimizers.ts";
export { isCheckpointDue, isEvaluationDue } from "./owed.ts";
export { whyWaiting } from "./reasons.ts";
export { contributionsWanted, contributionWeights, quorumOf } from "./rounds.ts";
export * from "./rules/aggregation-rule.ts";
export * from "./rules/aggregation-rules.ts";
export * from "./sampler.ts";
export * from "./schedule.ts";
export * from "./state.ts";
export * from "./stream-ranges.ts";
export { RESTART_GRACE_MS } from "./tick.ts";
export { visitSamples } from "./visits.ts";
