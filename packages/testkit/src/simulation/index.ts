export { FAULT_NAMES, FAULTS, type FaultName } from "./faults.ts";
export { INVARIANTS, type InvariantName } from "./invariants.ts";
export type { SimulationOptions, SimulationSize } from "./plan.ts";
export { describeFailure, shrink } from "./shrink.ts";
export { type Outcome, simulate } from "./simulate.ts";
