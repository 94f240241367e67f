export { FAULT_NAMES, FAULTS, type FaultName } from "./faults.ts";
export type { Tampering } from "./host.ts";
export { INVARIANTS, type InvariantName } from "./invariants.ts";
export type { SimulationOptions, SimulationSize } from "./plan.ts";
export { commandFor, describeFailure, shrink } from "./shrink.ts";
export { type Outcome, simulate } from "./simulate.ts";
