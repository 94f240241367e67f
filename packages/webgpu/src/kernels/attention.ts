// Causal attention in the flash manner (Dao et al., 2205.14135): no length x length matrix is kept. Forward in one dispatch, by an online
// softmax; backward in one, which computes each probability again from the kept log of its row's sum. The heads' queries, keys and values
// are read where the projection left them, so that nothing is transposed.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Element, type Kernel, launch } from "../launch.ts";

const THREADS = 64;
/** A head's query, keys' and values' sums live in registers: heads wider than this are left to other kernels. */
export const MAX_HEAD_DEPTH = 128;

/** A head's vector in as few registers as its depth allows. */
function vectors(depth: number) {
  const lanes = depth % 4 === 0 ? 4 : depth % 2 === 0 ? 2 : 1;
  const parts = Array.from({ length: depth / lanes }, (_, index) => index);
  const type: Element = lanes === 4 ? "vec4<f32>" : lanes === 2 ? "vec2<f32>" : "f32";
  const product = (a: string, b: string): string => (lanes === 1 ? `${a} * ${b}` : `dot(${a}, ${b})`);
  return {
    lanes,
    type,
    /** `statement` for each part of the vector. */
    each: (statement: (part: number) => string): string => parts.map(statement).join(" "),
    /** Scalar product of two vectors given by part. */
    dot: (a: (part: number) => string, b: (part: number) => string): string => parts.map((part) => product(a(part), b(part))).join(" + "),
  };
}

/** One thread a token of a head. Token t of `qkv` holds the queries of all heads, then the keys, then the values; `at` counts vectors. */
const frame = (depth: number, body: string): string => `
fn at(token: u32, third: u32, head: u32) -> u32 { return (token * 3u + third) * uniforms.parts * uniforms.heads + head * uniforms.parts; }
fn place(token: u32, head: u32) -> u32 { return (token * uniforms.heads + head) * uniforms.parts; }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.x;
  if (own >= uniforms.length) { return; }
  let head = id.y;
  let scale = f32(${1 / Math.sqrt(depth)});
  for (var window = id.z; window < uniforms.windows; window = window + 65535u) {
    let first = window * uniforms.length;
    let token = first + own;
    ${body}
  }
}`;

const uniforms = { length: "u32", heads: "u32", windows: "u32", parts: "u32" } as const;

function forward(depth: number): Kernel {
  const { type, each, dot } = vectors(depth);
  return {
    name: `attention ${depth}`,
    outputs: { y: type, logSums: "f32" },
    inputs: { qkv: type },
    uniforms,
    body: frame(
      depth,
      `
    let query = at(token, 0u, head);
    ${each((p) => `let q${p} = qkv[query + ${p}u] * scale; var sum${p} = ${type}();`)}
    var largest = -3.4e38;
    var total = 0.0;
    for (var other = first; other <= token; other = other + 1u) {
      let key = at(other, 1u, head);
      let value = at(other, 2u, head);
      let score = ${dot(
        (p) => `q${p}`,
        (p) => `qkv[key + ${p}u]`,
      )};
      let highest = max(largest, score);
      let keep = exp(largest - highest);
      let weight = exp(score - highest);
      largest = highest;
      total = total * keep + weight;
      ${each((p) => `sum${p} = sum${p} * keep + qkv[value + ${p}u] * weight;`)}
    }
    let result = place(token, head);
    ${each((p) => `y[result + ${p}u] = sum${p} / total;`)}
    logSums[token * uniforms.heads + head] = largest + log(total);`,
    ),
  };
}

/** dS = P (dP - rowsum(dO O)); dQ = scale dS K, dK = scale dS^T Q, dV = P^T dO. A token is first the one that looks, at those before it,
 *  and then the one that is looked at, by those after it. */
function backward(depth: number): Kernel {
  const { type, each, dot } = vectors(depth);
  return {
    name: `attentionGradient ${depth}`,
    outputs: { dQkv: type },
    inputs: { dy: type, y: type, qkv: type, logSums: "f32" },
    uniforms,
    body: frame(
      depth,
      `
    let query = at(token, 0u, head);
    let key = at(token, 1u, head);
    let value = at(token, 2u, head);
    let mine = place(token, head);
    ${each((p) => `var gq${p} = ${type}(); var gk${p} = ${type}(); var gv${p} = ${type}();`)}
    let logSum = logSums[token * uniforms.heads + head];
    let along = ${dot(
      (p) => `dy[mine + ${p}u]`,
      (p) => `y[mine + ${p}u]`,
    )};
    for (var other = first; other <= token; other = other + 1u) {
      let theirKey = at(other, 1u, head);
      let theirValue = at(other, 2u, head);
      let score = (${dot(
        (p) => `qkv[query + ${p}u]`,
        (p) => `qkv[theirKey + ${p}u]`,
      )}) * scale;
      let slope = ${dot(
        (p) => `dy[mine + ${p}u]`,
        (p) => `qkv[theirValue + ${p}u]`,
      )};
      let dScore = exp(score - logSum) * (slope - along) * scale;
      ${each((p) => `gq${p} = gq${p} + qkv[theirKey + ${p}u] * dScore;`)}
    }
    for (var other = token; other < first + uniforms.length; other = other + 1u) {
      let theirQuery = at(other, 0u, head);
      let theirs = place(other, head);
      let score = (${dot(
        (p) => `qkv[theirQuery + ${p}u]`,
        (p) => `qkv[key + ${p}u]`,
      )}) * scale;
      let weight = exp(score - logSums[other * uniforms.heads + head]);
      let slope = ${dot(
        (p) => `dy[theirs + ${p}u]`,
        (p) => `(qkv[value + ${p}u] - y[theirs + ${p}u])`,
      )};
      let dScore = weight * slope * scale;
      ${each((p) => `gk${p} = gk${p} + qkv[theirQuery + ${p}u] * dScore; gv${p} = gv${p} + dy[theirs + ${p}u] * weight;`)}
    }
    ${each((p) => `dQkv[query + ${p}u] = gq${p}; dQkv[key + ${p}u] = gk${p}; dQkv[value + ${p}u] = gv${p};`)}`,
    ),
  };
}

interface Extents {
  readonly heads: number;
  /** Tokens of a window; no token looks beyond its own. */
  readonly length: number;
}

function parametersOf(qkv: TensorInfo, { heads, length }: Extents) {
  const [tokens, triple] = qkv.shape as [number, number];
  const [windows, width] = [tokens / length, triple / 3];
  const depth = width / heads;
  if (depth > MAX_HEAD_DEPTH) throw new Error(`A head of ${depth} values is too wide for this kernel`);
  return {
    tokens,
    width,
    depth,
    uniforms: [length, heads, windows, depth / vectors(depth).lanes],
    workgroups: [Math.ceil(length / THREADS), heads, Math.min(windows, 65_535)] as const,
  };
}

/** `qkv` [tokens, 3 * width]: y [tokens, width] and, for the backward pass, the log of each row's sum [tokens, heads]. */
export function attention(backend: WebGPUBackend, qkv: TensorInfo, extents: Extents): TensorInfo[] {
  const { tokens, width, depth, ...rest } = parametersOf(qkv, extents);
  const outputs = [
    [tokens, width],
    [tokens, extents.heads],
  ];
  return launch(backend, { kernel: forward(depth), inputs: [qkv], outputs, ...rest });
}

/** Gradient of `qkv`. */
export function attentionGradient(
  backend: WebGPUBackend,
  { dy, y, qkv, logSums }: Readonly<Record<"dy" | "y" | "qkv" | "logSums", TensorInfo>>,
  extents: Extents,
): TensorInfo[] {
  const { depth, uniforms, workgroups } = parametersOf(qkv, extents);
  return launch(backend, { kernel: backward(depth), inputs: [dy, y, qkv, logSums], outputs: [qkv.shape], uniforms, workgroups });
}
