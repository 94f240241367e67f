// Entry of the coordinator application: start one, and the error with which a start ends.
export type { Addresses } from "./addresses.ts";
export type { CoordinatorConfig, LogLevel } from "./config.ts";
export { austenRun, demonstrationRuns, digitsRun } from "./demonstration.ts";
export { type StartedCoordinator, startCoordinator } from "./start.ts";
export { StartError, type StartErrorCode } from "./start-error.ts";
