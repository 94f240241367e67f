// The recurrence of an LSTM over windows (packages/models/src/ops/lstm.ts has its definition): one dispatch a place in the window, forward
// and backward, with the recurrent product, the gates and the cell in one. Places follow each other as dispatches, because a workgroup
// cannot wait for another; what a place needs from the one before lies in the results' own buffers.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, launch } from "../launch.ts";

/** A workgroup makes 8 units of 8 windows; sums run in slices of 16, whose weights hold the four gates side by side. Longer
 *  slices take long to compile where workgroup memory is cleared value by value. */
const TILE = 8;
const THREADS = TILE * TILE;
const DEPTH = 16;
/** One more than a tile, so that threads that store neighbours of a slice do not meet in a bank. */
const STRIDE = TILE + 1;

/** sigmoid and tanh by the exponential alone: some devices' tanh is coarse, or NaN for large arguments. Near 0, where tanh would be a
 *  difference of almost equal numbers, by its series, whose next term is below 1e-8 of it. */
const FUNCTIONS = `
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0))); }
fn bent(x: f32) -> f32 {
  let z = abs(x);
  let s = x * x;
  let near = x * (1.0 + s * (${-1 / 3} + s * (${2 / 15} + s * (${-17 / 315} + s * ${62 / 2835}))));
  let e = exp(-2.0 * min(z, 20.0));
  return select(sign(x) * (1.0 - e) / (1.0 + e), near, z < 0.25);
}
`;

/** `sum` over a layer's width, where `when` holds, then `rest`. `weight` and `state` fill position `index` of a slice, for the units and for
 *  the windows of the tile; `multiply` makes a term of weight `w` and state `s`. */
const frame = (
  state: "f32" | "vec4<f32>",
  slices: { readonly when: string; readonly weight: string; readonly state: string; readonly multiply: string },
  rest: string,
): string => `${FUNCTIONS}
var<workgroup> weights: array<vec4<f32>, ${DEPTH * STRIDE}>;
var<workgroup> states: array<${state}, ${DEPTH * STRIDE}>;

@compute @workgroup_size(${TILE}, ${TILE})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let hidden = uniforms.hidden;
  let place = uniforms.place;
  let unit = group.x * ${TILE}u + local.x;
  let row = group.y * ${TILE}u + local.y;
  var sum = ${state === "f32" ? "vec4<f32>()" : "0.0"};
  if (${slices.when}) {
    for (var start = 0u; start < hidden; start = start + ${DEPTH}u) {
      for (var index = thread; index < ${DEPTH * TILE}u; index = index + ${THREADS}u) {
        ${slices.weight}
        ${slices.state}
      }
      workgroupBarrier();
      for (var k = 0u; k < ${DEPTH}u; k = k + 1u) {
        let w = weights[k * ${STRIDE}u + local.x];
        let s = states[k * ${STRIDE}u + local.y];
        sum = sum + ${slices.multiply};
      }
      workgroupBarrier();
    }
  }
  if (unit >= hidden || row >= uniforms.rows) { return; }
  let token = row * uniforms.length + place;
  let own = token * hidden + unit;
  let gate = token * 4u * hidden + unit;
${rest}
}`;

const uniforms = { rows: "u32", length: "u32", hidden: "u32", place: "u32" } as const;

/** z = projected + h_(t-1) W_h^T; the cell and its state. Reads of `recurrent` run along its rows. */
const forward: Kernel = {
  name: "lstm",
  outputs: { y: "f32", previous: "f32", cells: "f32", gates: "f32" },
  inputs: { projected: "f32", recurrent: "f32" },
  uniforms,
  body: frame(
    "f32",
    {
      when: "place > 0u",
      weight: `
        let k = index % ${DEPTH}u;
        let member = index / ${DEPTH}u;
        let mine = group.x * ${TILE}u + member;
        var four = vec4<f32>();
        if (mine < hidden && start + k < hidden) {
          let at = mine * hidden + start + k;
          let quarter = hidden * hidden;
          four = vec4<f32>(recurrent[at], recurrent[at + quarter], recurrent[at + 2u * quarter], recurrent[at + 3u * quarter]);
        }
        weights[k * ${STRIDE}u + member] = four;`,
      state: `
        let window = group.y * ${TILE}u + member;
        var before = 0.0;
        if (window < uniforms.rows && start + k < hidden) { before = y[(window * uniforms.length + place - 1u) * hidden + start + k]; }
        states[k * ${STRIDE}u + member] = before;`,
      multiply: "s * w",
    },
    `
  var lastState = 0.0;
  var lastCell = 0.0;
  if (place > 0u) {
    lastState = y[own - hidden];
    lastCell = cells[own - hidden];
  }
  let i = sigmoid(projected[gate] + sum.x);
  let f = sigmoid(projected[gate + hidden] + sum.y);
  let g = bent(projected[gate + 2u * hidden] + sum.z);
  let o = sigmoid(projected[gate + 3u * hidden] + sum.w);
  let cell = f * lastCell + i * g;
  gates[gate] = i;
  gates[gate + hidden] = f;
  gates[gate + 2u * hidden] = g;
  gates[gate + 3u * hidden] = o;
  cells[own] = cell;
  previous[own] = lastState;
  y[own] = o * bent(cell);`,
  ),
};

/** dh = dy + dz_(t+1) W_h, dc = dh o (1 - tanh(c)^2) + dc_(t+1) f_(t+1), and from them dz. `carried` holds the last summand of dc. */
const backward: Kernel = {
  name: "lstmGradient",
  outputs: { dProjected: "f32", carried: "f32" },
  inputs: { dy: "f32", cells: "f32", gates: "f32", recurrent: "f32" },
  uniforms,
  body: frame(
    "vec4<f32>",
    {
      when: "place + 1u < uniforms.length",
      weight: `
        let column = group.x * ${TILE}u + index % ${TILE}u;
        let term = start + index / ${TILE}u;
        var four = vec4<f32>();
        if (column < hidden && term < hidden) {
          let at = term * hidden + column;
          let quarter = hidden * hidden;
          four = vec4<f32>(recurrent[at], recurrent[at + quarter], recurrent[at + 2u * quarter], recurrent[at + 3u * quarter]);
        }
        weights[(index / ${TILE}u) * ${STRIDE}u + index % ${TILE}u] = four;`,
      state: `
        let k = index % ${DEPTH}u;
        let member = index / ${DEPTH}u;
        let window = group.y * ${TILE}u + member;
        var after = vec4<f32>();
        if (window < uniforms.rows && start + k < hidden) {
          let at = (window * uniforms.length + place + 1u) * 4u * hidden + start + k;
          after = vec4<f32>(dProjected[at], dProjected[at + hidden], dProjected[at + 2u * hidden], dProjected[at + 3u * hidden]);
        }
        states[k * ${STRIDE}u + member] = after;`,
      multiply: "dot(s, w)",
    },
    `
  let i = gates[gate];
  let f = gates[gate + hidden];
  let g = gates[gate + 2u * hidden];
  let o = gates[gate + 3u * hidden];
  let curve = bent(cells[own]);
  var lastCell = 0.0;
  if (place > 0u) { lastCell = cells[own - hidden]; }
  let dh = dy[own] + sum;
  var dc = dh * o * (1.0 - curve) * (1.0 + curve);
  if (place + 1u < uniforms.length) { dc = dc + carried[row * hidden + unit]; }
  dProjected[gate] = dc * g * i * (1.0 - i);
  dProjected[gate + hidden] = dc * lastCell * f * (1.0 - f);
  dProjected[gate + 2u * hidden] = dc * i * (1.0 - g) * (1.0 + g);
  dProjected[gate + 3u * hidden] = dh * curve * o * (1.0 - o);
  carried[row * hidden + unit] = dc * f;`,
  ),
};

interface Extents {
  readonly rows: number;
  readonly length: number;
  readonly hidden: number;
}

const extentsOf = (fourfold: TensorInfo, length: number): Extents => {
  const [tokens, width] = fourfold.shape as [number, number];
  return { rows: tokens / length, length, hidden: width / 4 };
};

/** One dispatch for each of `places`, in this order; all write into the results of the first. */
function unroll(
  backend: WebGPUBackend,
  kernel: Kernel,
  inputs: readonly TensorInfo[],
  shapes: readonly (readonly number[])[],
  { rows, length, hidden }: Extents,
  places: Iterable<number>,
): TensorInfo[] {
  let results: TensorInfo[] | null = null;
  for (const place of places)
    results = launch(backend, {
      kernel,
      inputs,
      outputs: results ?? shapes,
      uniforms: [rows, length, hidden, place],
      workgroups: [Math.ceil(hidden / TILE), Math.ceil(rows / TILE), 1],
    });
  if (results === null) throw new Error("A window of no tokens");
  return results;
}

/** `projected` [rows * length, 4 * hidden] and `recurrent` [4 * hidden, hidden]: states, states before, cells, gates. */
export function lstm(
  backend: WebGPUBackend,
  { projected, recurrent, length }: { readonly projected: TensorInfo; readonly recurrent: TensorInfo; readonly length: number },
): TensorInfo[] {
  const extents = extentsOf(projected, length);
  const state = [extents.rows * length, extents.hidden];
  return unroll(backend, forward, [projected, recurrent], [state, state, state, projected.shape], extents, Array(length).keys());
}

export interface LstmGradient {
  readonly dy: TensorInfo;
  readonly cells: TensorInfo;
  readonly gates: TensorInfo;
  readonly recurrent: TensorInfo;
  readonly length: number;
}

/** Gradient of `projected`. */
export function lstmGradient(backend: WebGPUBackend, { dy, cells, gates, recurrent, length }: LstmGradient): TensorInfo[] {
  const extents = extentsOf(gates, length);
  const shapes = [gates.shape, [extents.rows, extents.hidden]];
  const places = Array.from({ length }, (_, index) => length - 1 - index);
  const results = unroll(backend, backward, [dy, cells, gates, recurrent], shapes, extents, places);
  const [dProjected, carried] = results as [TensorInfo, TensorInfo];
  backend.disposeData(carried.dataId as object);
  return [dProjected];
}
