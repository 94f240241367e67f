// Puts our kernels among TensorFlow.js's: the matrix product in the place of its own, the fused ones under names that the models ask for.
// A kernel that is not registered costs its device speed, nothing else: the models then use plain operations.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { WEBGPU } from "../register-backend.ts";
import { isVariant, restoreVariant, strikeVariant, VARIANTS } from "../variants.ts";
import { attention, attentionGradient } from "./attention.ts";
import { convolutionBlock, convolutionBlockGradient } from "./convolution.ts";
import { crossEntropy, crossEntropyGradient } from "./cross-entropy.ts";
import { embedding, embeddingGradient, rowsGradient } from "./embedding.ts";
import { type GeluKind, gelu, geluGradient } from "./gelu.ts";
import { layerNorm, layerNormGradient } from "./layer-norm.ts";
import { linear, linearGradient } from "./linear.ts";
import { lstm, lstmGradient } from "./lstm.ts";
import { installMatmul, MATMUL, removeMatmul } from "./matmul.ts";
import type { Activation } from "./matmul-epilogue.ts";
import { dropout, type Key } from "./random.ts";

type Inputs = Record<string, tf.TensorInfo>;
type Attributes = Readonly<Record<string, unknown>>;
type Run = (backend: WebGPUBackend, inputs: Inputs, attributes: Attributes) => tf.TensorInfo[];

/** `a` and `b` of the record, present by agreement with the models. */
const take = <K extends string>(inputs: Inputs, ...names: K[]): Record<K, tf.TensorInfo> => {
  for (const name of names) if (inputs[name] === undefined) throw new Error(`The kernel was given no ${name}`);
  return inputs as Record<K, tf.TensorInfo>;
};

const FUSED: Readonly<Record<string, Run>> = {
  WeftLayerNorm: (backend, inputs, { epsilon }) => {
    const { x, gain } = take(inputs, "x", "gain");
    return layerNorm(backend, x, gain, inputs.bias, epsilon as number);
  },
  WeftLayerNormGradient: (backend, inputs, { hasBias }) =>
    layerNormGradient(backend, { ...take(inputs, "dy", "x", "gain", "statistics"), hasBias: Boolean(hasBias) }),
  WeftLinear: (backend, inputs, { outIn, activation }) =>
    linear(backend, { ...take(inputs, "x", "weight"), outIn: outIn as boolean, activation: activation as Activation }, inputs.bias),
  WeftLinearGradient: (backend, inputs, { outIn, activation, hasBias, inputIsData, packedInputs }) =>
    linearGradient(backend, {
      ...take(inputs, "dy", "x", "weight"),
      seen: inputs.seen,
      outIn: outIn as boolean,
      activation: activation as Activation,
      hasBias: hasBias as boolean,
      inputIsData: inputIsData as boolean,
      packedInputs: (packedInputs ?? 0) as number,
    }),
  WeftDropout: (backend, inputs, { key, rate }) => {
    const { x, step } = take(inputs, "x", "step");
    return dropout(backend, x, key as Key, step, rate as number);
  },
  WeftDropoutGradient: (backend, inputs, { key, rate }) => {
    const { dy, step } = take(inputs, "dy", "step");
    return dropout(backend, dy, key as Key, step, rate as number);
  },
  WeftGelu: (backend, inputs, { kind }) => gelu(backend, take(inputs, "x").x, kind as GeluKind),
  WeftGeluGradient: (backend, inputs, { kind }) => {
    const { dy, x } = take(inputs, "dy", "x");
    return geluGradient(backend, dy, x, kind as GeluKind);
  },
  WeftCrossEntropy: (backend, inputs, { predictions }) =>
    crossEntropy(backend, { ...take(inputs, "logits", "targets", "weights"), predictions: predictions as number }),
  WeftCrossEntropyGradient: (backend, inputs, { predictions }) => {
    const { dy, logSums, ...rest } = take(inputs, "dy", "logSums", "logits", "targets", "weights");
    return crossEntropyGradient(backend, { ...rest, predictions: predictions as number }, dy, logSums);
  },
  WeftEmbedding: (backend, inputs, { length }) => {
    const { tokens, table, positions } = take(inputs, "tokens", "table", "positions");
    return embedding(backend, tokens, table, positions, length as number);
  },
  WeftEmbeddingGradient: (backend, inputs, { symbols, context, length }) =>
    embeddingGradient(backend, {
      ...take(inputs, "dy", "tokens"),
      symbols: symbols as number,
      context: context as number,
      length: length as number,
    }),
  WeftRows: (backend, inputs) => {
    const { tokens, table } = take(inputs, "tokens", "table");
    return embedding(backend, tokens, table);
  },
  WeftRowsGradient: (backend, inputs, { symbols }) =>
    rowsGradient(backend, { ...take(inputs, "dy", "tokens"), symbols: symbols as number }),
  WeftAttention: (backend, inputs, { heads, length }) =>
    attention(backend, take(inputs, "qkv").qkv, { heads: heads as number, length: length as number }),
  WeftAttentionGradient: (backend, inputs, { heads, length }) =>
    attentionGradient(backend, take(inputs, "dy", "y", "qkv", "logSums"), { heads: heads as number, length: length as number }),
  WeftLstm: (backend, inputs, { length }) => lstm(backend, { ...take(inputs, "projected", "recurrent"), length: length as number }),
  WeftLstmGradient: (backend, inputs, { length }) =>
    lstmGradient(backend, { ...take(inputs, "dy", "cells", "gates", "recurrent"), length: length as number }),
  WeftConvolutionBlock: (backend, inputs) => convolutionBlock(backend, take(inputs, "x", "weight", "bias")),
  WeftConvolutionBlockGradient: (backend, inputs, { inputIsData }) =>
    convolutionBlockGradient(backend, { ...take(inputs, "dy", "x", "weight", "chosen"), inputIsData: inputIsData as boolean }),
};

/** What may be struck, what costs least first: variants, the tiled matrix product, and fused operations, each with its gradient. */
export const OPTIONAL_KERNELS: readonly string[] = [
  ...VARIANTS,
  MATMUL,
  ...Object.keys(FUSED).filter((name) => !name.endsWith("Gradient")),
];

/** For every device that is registered from now on; kernels that were struck for an earlier one are back. */
export function installKernels(): void {
  for (const name of OPTIONAL_KERNELS) restoreKernel(name);
}

/** Leaves the work of an optional kernel to TensorFlow.js's own, that of a variant to the plain kernels. */
export function strikeKernel(name: string): void {
  if (isVariant(name)) strikeVariant(name);
  else if (name === MATMUL) removeMatmul();
  else
    for (const kernelName of [name, `${name}Gradient`])
      if (tf.getKernel(kernelName, WEBGPU) != null) tf.unregisterKernel(kernelName, WEBGPU);
}

export function restoreKernel(name: string): void {
  if (isVariant(name)) {
    restoreVariant(name);
    return;
  }
  if (name === MATMUL) {
    installMatmul();
    return;
  }
  for (const kernelName of [name, `${name}Gradient`]) {
    const run = FUSED[kernelName];
    if (run === undefined) throw new Error(`There is no kernel ${kernelName}`);
    if (tf.getKernel(kernelName, WEBGPU) != null) continue;
    tf.registerKernel({
      kernelName,
      backendName: WEBGPU,
      kernelFunc: ({ inputs, attrs, backend }) =>
        run(backend as WebGPUBackend, inputs as unknown as Inputs, attrs as unknown as Attributes),
    });
  }
}
