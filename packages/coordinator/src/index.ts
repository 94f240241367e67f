export * from "./api.ts";
export { Coordinator } from "./coordinator.ts";
export { runIdOf } from "./create-run.ts";
export { DEFAULT_LIMITS } from "./limits.ts";
export { inspectBytes, LocalCompute, type LocalComputeOptions } from "./local-compute.ts";
export { MemorySpool } from "./memory-spool.ts";
export { difference, ObserverFeed, type SendToObserver } from "./observer.ts";
export * from "./ports.ts";
export { type Recomputation, type RecomputedVersion, recompute } from "./recompute.ts";
