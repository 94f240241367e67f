// Convolution with "same" padding, ReLU and 2x2 max-pooling in one dispatch (packages/models/src/ops/convolution.ts has the definition),
// the gradient of the input in one, those of weight and bias in one. Only the largest of each square is written, with its place: gradients
// then go through a quarter of the convolution's results. One text for each size of kernel.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, launch, workgroupsFor } from "../launch.ts";

const THREADS = 64;
/** Channels of one thread, in two vectors: outputs in the forward pass, inputs in the backward one. */
const CHANNELS = 8;
/** Vectors of weights held at once. Some compilers clear workgroup memory value by value: more of it would take seconds to compile. */
const HELD = 64;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Of how many channels the weights are held at once: two vectors a tap. */
const sliceOf = (size: number): number => Math.max(1, Math.min(CHANNELS, Math.floor(HELD / (2 * size * size))));

/** `weights[(c * taps + tap) * 2 + half]`: four weights that a thread needs together, for channel `slice + c` of those that it sums over. */
const slices = (size: number, summed: "inputs" | "outputs", made: "inputs" | "outputs"): string => {
  const taps = size * size;
  const own = `(slice + index / ${2 * taps}u)`;
  const [output, input] = summed === "inputs" ? ["other", own] : [own, "other"];
  return `
var<workgroup> weights: array<vec4<f32>, ${2 * taps * sliceOf(size)}>;
fn load(slice: u32, count: u32, first: u32, thread: u32) {
  for (var index = thread; index < count * ${2 * taps}u; index = index + ${THREADS}u) {
    var four = vec4<f32>();
    for (var lane = 0u; lane < 4u; lane = lane + 1u) {
      let other = first + 4u * (index & 1u) + lane;
      if (other < uniforms.${made}) {
        four[lane] = weight[(${output} * uniforms.inputs + ${input}) * ${taps}u + (index / 2u) % ${taps}u];
      }
    }
    weights[index] = four;
  }
}`;
};

const uniforms = { images: "u32", height: "u32", width: "u32", inputs: "u32", outputs: "u32" } as const;

/** The sums of a square: 4 places of 8 channels in two vectors. */
const SUMS = range(4)
  .map((place) => `var s${place}l = vec4<f32>(); var s${place}h = vec4<f32>();`)
  .join(" ");
/** That of channel `c` at a place. */
const sumAt = (place: number): string => `select(s${place}l, s${place}h, c >= 4u)[c & 3u]`;

/** `rowOf(plane, y)` is where a row of an image begins, or -1; `pixel(row, column)` is 0 outside of the image. */
const PIXEL = `
fn rowOf(plane: u32, y: i32) -> i32 {
  return select(-1, i32(plane + u32(y) * uniforms.width), y >= 0 && y < i32(uniforms.height));
}
fn pixel(row: i32, column: i32) -> f32 {
  if (row < 0 || column < 0 || column >= i32(uniforms.width)) { return 0.0; }
  return x[row + column];
}`;

/** Each thread makes a square of 8 channels: two rows of the input at a time, whose values serve two places each. */
function forward(size: number): Kernel {
  const reach = (size - 1) / 2;
  return {
    name: `convolution ${size}`,
    outputs: { y: "f32", chosen: "f32" },
    inputs: { x: "f32", weight: "f32", bias: "f32" },
    uniforms,
    body: `${slices(size, "inputs", "outputs")}${PIXEL}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let across = uniforms.width / 2u;
  let area = (uniforms.height / 2u) * across;
  let squares = uniforms.images * area;
  let first = group.y * ${CHANNELS}u;
  for (var base = group.x * ${THREADS}u; base < squares; base = base + groups.x * ${THREADS}u) {
    let square = min(base + thread, squares - 1u);
    let image = square / area;
    let top = 2 * i32((square % area) / across) - ${reach};
    let left = 2 * i32(square % area % across) - ${reach};
    ${SUMS}
    for (var slice = 0u; slice < uniforms.inputs; slice = slice + ${sliceOf(size)}u) {
      let count = min(${sliceOf(size)}u, uniforms.inputs - slice);
      workgroupBarrier();
      load(slice, count, first, thread);
      workgroupBarrier();
      for (var channel = 0u; channel < count; channel = channel + 1u) {
        let plane = (image * uniforms.inputs + slice + channel) * uniforms.height * uniforms.width;
        for (var ky = 0; ky < ${size}; ky = ky + 1) {
          let above = rowOf(plane, top + ky);
          let below = rowOf(plane, top + ky + 1);
          var x0 = pixel(above, left);
          var x2 = pixel(below, left);
          for (var kx = 0; kx < ${size}; kx = kx + 1) {
            let tap = ((i32(channel) * ${size} + ky) * ${size} + kx) * 2;
            let l = weights[tap];
            let h = weights[tap + 1];
            let x1 = pixel(above, left + kx + 1);
            let x3 = pixel(below, left + kx + 1);
            s0l = s0l + x0 * l; s0h = s0h + x0 * h; s1l = s1l + x1 * l; s1h = s1h + x1 * h;
            s2l = s2l + x2 * l; s2h = s2h + x2 * h; s3l = s3l + x3 * l; s3h = s3h + x3 * h;
            x0 = x1;
            x2 = x3;
          }
        }
      }
    }
    let made = select(0u, min(${CHANNELS}u, uniforms.outputs - first), base + thread < squares);
    for (var c = 0u; c < made; c = c + 1u) {
      let values = vec4<f32>(${range(4).map(sumAt).join(", ")}) + bias[first + c];
      var largest = values.x;
      var place = 0.0;
      if (values.y > largest) { largest = values.y; place = 1.0; }
      if (values.z > largest) { largest = values.z; place = 2.0; }
      if (values.w > largest) { largest = values.w; place = 3.0; }
      let at = (image * uniforms.outputs + first + c) * area + square % area;
      let dead = largest <= 0.0;
      y[at] = select(largest, 0.0, dead);
      chosen[at] = select(place, -1.0, dead);
    }
  }
}`,
  };
}

/** Each thread makes a square of 8 input channels, from the squares of results that reach it: of each, the one that was chosen. */
function backwardInput(size: number): Kernel {
  const reach = (size - 1) / 2;
  const fits = (name: string, more: number): string => `${name} >= ${-more} && ${name} < ${size - more}`;
  const added = range(4).map((place) => {
    const [down, right] = [place >> 1, place & 1];
    return `
            if (${fits("ky", down)} && ${fits("kx", right)}) {
              let tap = u32(corner + ${down * size + right}) * 2u;
              s${place}l = s${place}l + slope * weights[tap];
              s${place}h = s${place}h + slope * weights[tap + 1u];
            }`;
  });
  const written = range(4).map(
    (place) =>
      `      if (row + ${place >> 1}u < uniforms.height && column + ${place & 1}u < uniforms.width) { dx[at + ${place >> 1}u * uniforms.width + ${place & 1}u] = ${sumAt(place)}; }`,
  );
  return {
    name: `convolutionInput ${size}`,
    outputs: { dx: "f32" },
    inputs: { dy: "f32", weight: "f32", chosen: "f32" },
    uniforms,
    body: `${slices(size, "outputs", "inputs")}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let pooledRows = i32(uniforms.height / 2u);
  let pooledColumns = i32(uniforms.width / 2u);
  let across = (uniforms.width + 1u) / 2u;
  let area = ((uniforms.height + 1u) / 2u) * across;
  let squares = uniforms.images * area;
  let first = group.y * ${CHANNELS}u;
  for (var base = group.x * ${THREADS}u; base < squares; base = base + groups.x * ${THREADS}u) {
    let square = min(base + thread, squares - 1u);
    let image = square / area;
    let row = 2u * ((square % area) / across);
    let column = 2u * (square % area % across);
    let fromRow = max(0, (i32(row) - ${reach}) >> 1u);
    let toRow = min(pooledRows - 1, (i32(row) + ${reach + 1}) >> 1u);
    let fromColumn = max(0, (i32(column) - ${reach}) >> 1u);
    let toColumn = min(pooledColumns - 1, (i32(column) + ${reach + 1}) >> 1u);
    ${SUMS}
    for (var slice = 0u; slice < uniforms.outputs; slice = slice + ${sliceOf(size)}u) {
      let count = min(${sliceOf(size)}u, uniforms.outputs - slice);
      workgroupBarrier();
      load(slice, count, first, thread);
      workgroupBarrier();
      for (var channel = 0u; channel < count; channel = channel + 1u) {
        let plane = i32(image * uniforms.outputs + slice + channel) * pooledRows * pooledColumns;
        for (var r = fromRow; r <= toRow; r = r + 1) {
          for (var c = fromColumn; c <= toColumn; c = c + 1) {
            let place = i32(chosen[plane + r * pooledColumns + c]);
            if (place < 0) { continue; }
            let slope = dy[plane + r * pooledColumns + c];
            let ky = i32(row) - 2 * r - (place >> 1u) + ${reach};
            let kx = i32(column) - 2 * c - (place & 1) + ${reach};
            let corner = (i32(channel) * ${size} + ky) * ${size} + kx;${added.join("")}
          }
        }
      }
    }
    let made = select(0u, min(${CHANNELS}u, uniforms.inputs - first), base + thread < squares);
    for (var c = 0u; c < made; c = c + 1u) {
      let at = ((image * uniforms.inputs + first + c) * uniforms.height + row) * uniforms.width + column;
${written.join("\n")}
    }
  }
}`,
  };
}

/** A workgroup makes the taps between one input and one output channel. Each row of taps has as many threads as there is room for, which
 *  share the squares of all images. */
function backwardWeight(size: number): Kernel {
  const reach = (size - 1) / 2;
  const lanes = Math.floor(THREADS / size);
  const columns = range(size);
  return {
    name: `convolutionWeight ${size}`,
    outputs: { dWeight: "f32", dBias: "f32" },
    inputs: { dy: "f32", x: "f32", chosen: "f32" },
    uniforms,
    body: `${PIXEL}
/** The threads' sums for each column of taps, then those for the bias. */
var<workgroup> partial: array<array<f32, ${THREADS}>, ${size + 1}>;
fn total(sums: u32, ky: u32) -> f32 {
  var sum = 0.0;
  for (var lane = 0u; lane < ${lanes}u; lane = lane + 1u) { sum = sum + partial[sums][ky * ${lanes}u + lane]; }
  return sum;
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let across = uniforms.width / 2u;
  let area = (uniforms.height / 2u) * across;
  let ky = thread / ${lanes}u;
  var bias = 0.0;
  ${columns.map((kx) => `var s${kx} = 0.0;`).join(" ")}
  if (ky < ${size}u) {
    for (var square = thread % ${lanes}u; square < uniforms.images * area; square = square + ${lanes}u) {
      let image = square / area;
      let at = (image * uniforms.outputs + group.x) * area + square % area;
      let place = i32(chosen[at]);
      if (place < 0) { continue; }
      let slope = dy[at];
      bias = bias + slope;
      let plane = (image * uniforms.inputs + group.y) * uniforms.height * uniforms.width;
      let row = rowOf(plane, 2 * i32((square % area) / across) + (place >> 1u) + i32(ky) - ${reach});
      let left = 2 * i32(square % area % across) + (place & 1) - ${reach};
      ${columns.map((kx) => `s${kx} = s${kx} + slope * pixel(row, left + ${kx});`).join(" ")}
    }
  }
  ${columns.map((kx) => `partial[${kx}][thread] = s${kx};`).join(" ")}
  partial[${size}][thread] = bias;
  workgroupBarrier();
  for (var tap = thread; tap < ${size * size}u; tap = tap + ${THREADS}u) {
    dWeight[(group.x * uniforms.inputs + group.y) * ${size * size}u + tap] = total(tap % ${size}u, tap / ${size}u);
  }
  if (group.y == 0u && thread == 0u) { dBias[group.x] = total(${size}u, 0u); }
}`,
  };
}

interface Extents {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Rows and columns of a kernel. */
  readonly size: number;
}

function extentsOf(x: TensorInfo, weight: TensorInfo): Extents {
  const [images, inputs, height, width] = x.shape as [number, number, number, number];
  const [outputs, , size] = weight.shape as [number, number, number];
  if (size % 2 === 0) throw new Error(`A kernel of ${size} has no middle`);
  return { images, height, width, inputs, outputs, size };
}

const uniformsOf = ({ images, height, width, inputs, outputs }: Extents): number[] => [images, height, width, inputs, outputs];

/** x [n, in, h, w], weight [out, in, k, k], bias [out]: the pooled result and the place of each in its square, or -1. */
export function convolutionBlock(
  backend: WebGPUBackend,
  { x, weight, bias }: { readonly x: TensorInfo; readonly weight: TensorInfo; readonly bias: TensorInfo },
): TensorInfo[] {
  const extents = extentsOf(x, weight);
  const { images, height, width, outputs, size } = extents;
  const pooled = [images, outputs, height >> 1, width >> 1] as const;
  return launch(backend, {
    kernel: forward(size),
    inputs: [x, weight, bias],
    outputs: [pooled, pooled],
    uniforms: uniformsOf(extents),
    workgroups: [workgroupsFor(images * pooled[2] * pooled[3], THREADS), Math.ceil(outputs / CHANNELS), 1],
  });
}

export interface ConvolutionBlockGradient {
  readonly dy: TensorInfo;
  readonly x: TensorInfo;
  readonly weight: TensorInfo;
  readonly chosen: TensorInfo;
  /** `x` is data: its gradient is not computed. */
  readonly inputIsData: boolean;
}

/** Gradients of x (unless it is data), of the weight and of the bias. */
export function convolutionBlockGradient(
  backend: WebGPUBackend,
  { dy, x, weight, chosen, inputIsData }: ConvolutionBlockGradient,
): TensorInfo[] {
  const extents = extentsOf(x, weight);
  const { images, height, width, inputs, outputs, size } = extents;
  const squares = images * Math.ceil(height / 2) * Math.ceil(width / 2);
  const input = inputIsData
    ? []
    : launch(backend, {
        kernel: backwardInput(size),
        inputs: [dy, weight, chosen],
        outputs: [x.shape],
        uniforms: uniformsOf(extents),
        workgroups: [workgroupsFor(squares, THREADS), Math.ceil(inputs / CHANNELS), 1],
      });
  const parameters = launch(backend, {
    kernel: backwardWeight(size),
    inputs: [dy, x, chosen],
    outputs: [weight.shape, [outputs]],
    uniforms: uniformsOf(extents),
    workgroups: [outputs, inputs, 1],
  });
  return [...input, ...parameters];
}
