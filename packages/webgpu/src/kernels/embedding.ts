// Token embedding, with learned positions or without, and its gradients as gathers: each result sums what belongs to it in a fixed order, so there
// are no atomics and the same bits each time.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";

const THREADS = 64;

const forward = (hasPositions: boolean): Kernel => ({
  name: `embedding ${hasPositions}`,
  outputs: { y: "f32" },
  inputs: { tokens: "i32", table: "f32", ...(hasPositions ? { positions: "f32" as const } : {}) },
  uniforms: { tokens_: "u32", length: "u32", symbols: "u32", width: "u32" },
  body: `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.tokens_ * uniforms.width; i = i + groups.x * ${THREADS}u) {
    let token = i / uniforms.width;
    let column = i - token * uniforms.width;
    let symbol = min(u32(tokens[token]), uniforms.symbols - 1u);
    y[i] = table[symbol * uniforms.width + column]${hasPositions ? " + positions[(token % uniforms.length) * uniforms.width + column]" : ""};
  }
}`,
});

/** A workgroup takes 64 columns of one symbol and passes over all tokens: in step, so that it reads only the rows that count. */
const backwardTable: Kernel = {
  name: "embeddingTable",
  outputs: { dTable: "f32" },
  inputs: { dy: "f32", tokens: "i32" },
  uniforms: { tokens_: "u32", symbols: "u32", width: "u32" },
  body: `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  if (id.x >= uniforms.width) { return; }
  for (var symbol = id.y; symbol < uniforms.symbols; symbol = symbol + groups.y) {
    var sum = 0.0;
    for (var token = 0u; token < uniforms.tokens_; token = token + 1u) {
      if (min(u32(tokens[token]), uniforms.symbols - 1u) == symbol) { sum = sum + dy[token * uniforms.width + id.x]; }
    }
    dTable[symbol * uniforms.width + id.x] = sum;
  }
}`,
};

/** Sum over the windows; positions beyond a shorter window get 0. */
const backwardPositions: Kernel = {
  name: "embeddingPositions",
  outputs: { dPositions: "f32" },
  inputs: { dy: "f32" },
  uniforms: { tokens_: "u32", length: "u32", context: "u32", width: "u32" },
  body: `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.context * uniforms.width; i = i + groups.x * ${THREADS}u) {
    var sum = 0.0;
    if (i / uniforms.width < uniforms.length) {
      for (var window = 0u; window < uniforms.tokens_ / uniforms.length; window = window + 1u) {
        sum = sum + dy[window * uniforms.length * uniforms.width + i];
      }
    }
    dPositions[i] = sum;
  }
}`,
};

/** `tokens` int32 [rows * length], `table` [symbols, width] and, where there are positions, [context, width]: [rows * length, width]. */
export function embedding(backend: WebGPUBackend, tokens: TensorInfo, table: TensorInfo, positions?: TensorInfo, length = 1): TensorInfo[] {
  const [symbols, width] = table.shape as [number, number];
  const count = tokens.shape[0] as number;
  return launch(backend, {
    kernel: forward(positions !== undefined),
    inputs: [tokens, table, ...(positions === undefined ? [] : [positions])],
    outputs: [[count, width]],
    uniforms: [count, length, symbols, width],
    workgroups: [workgroupsFor(count * width, THREADS), 1, 1],
  });
}

/** Gradient of the table. */
export function rowsGradient(
  backend: WebGPUBackend,
  { dy, tokens, symbols }: { readonly dy: TensorInfo; readonly tokens: TensorInfo; readonly symbols: number },
): TensorInfo[] {
  const [count, width] = dy.shape as [number, number];
  return launch(backend, {
    kernel: backwardTable,
    inputs: [dy, tokens],
    outputs: [[symbols, width]],
    uniforms: [count, symbols, width],
    workgroups: [Math.ceil(width / THREADS), workgroupsFor(symbols), 1],
  });
}

/** Gradients of the table and of the positions. */
export function embeddingGradient(
  backend: WebGPUBackend,
  { dy, tokens, symbols, context, length }: { dy: TensorInfo; tokens: TensorInfo; symbols: number; context: number; length: number },
): TensorInfo[] {
  const [count, width] = dy.shape as [number, number];
  return [
    ...rowsGradient(backend, { dy, tokens, symbols }),
    ...launch(backend, {
      kernel: backwardPositions,
      inputs: [dy],
      outputs: [[context, width]],
      uniforms: [count, length, context, width],
      workgroups: [workgroupsFor(context * width, THREADS), 1, 1],
    }),
  ];
}
