// Entry `@weft/models`: what can be known of a model without a backend. TensorFlow.js stands behind `@weft/models/tf`.
export { describeModel } from "./describe.ts";
export { initialWeights } from "./initial.ts";
export { layoutFor, outputsOf, parameterCount, pooledSize, sampleLength } from "./layout.ts";
export { probeBatch, probeWeights } from "./probe.ts";
export { type SamplingOptions, sampleToken } from "./sample-token.ts";
export { scoreLogits } from "./score.ts";
