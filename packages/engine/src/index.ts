// Entry `@weft/engine`. Importing it loads no TensorFlow.js; making an engine does.
export { createEngine } from "./create-engine.ts";
export {
  type Engine,
  type EngineFault,
  type EngineOptions,
  EngineUnavailableError,
  type SelfTestResult,
} from "./engine.ts";
