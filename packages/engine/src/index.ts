// Entry `@weft/engine`. Importing it loads no TensorFlow.js; making an engine does.
export { browserMemory } from "./browser-memory.ts";
export { createEngine } from "./create-engine.ts";
export {
  type Engine,
  type EngineFault,
  type EngineOptions,
  EngineUnavailableError,
  type SelfTestResult,
} from "./engine.ts";
