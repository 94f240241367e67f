// Entry `@weft/models/tf`: the models on TensorFlow.js. Whoever imports it has chosen and initialised a backend.
export { logits, lossSum, type ModelTensors, type NamedTensors } from "./forward.ts";
