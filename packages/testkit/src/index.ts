export * from "./failing-storage.ts";
export * from "./fake-network.ts";
export * from "./fixtures.ts";
export { mlpEngine, mlpStep } from "./mlp-engine.ts";
export * from "./scripted-volunteer.ts";
export * from "./test-coordinator.ts";
export * from "./train.ts";
export * from "./virtual-clock.ts";
