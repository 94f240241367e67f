// Entry of the coordinator application: start one, and the error with which a start ends.
export type { Addresses } from "./addresses.ts";
export { type CoordinatorConfig, DEFAULT_DATA_FOLDER, DEFAULT_HOST, DEFAULT_PORT, type LogLevel } from "./config.ts";
export { openDatasetFolder, readEmbedded } from "./dataset-files.ts";
export { austenRun, demonstrationRuns, digitsRun } from "./demonstration.ts";
export { type StartedCoordinator, startCoordinator } from "./start.ts";
export { StartError, type StartErrorCode } from "./start-error.ts";
