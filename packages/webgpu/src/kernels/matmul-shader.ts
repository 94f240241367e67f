// WGSL of the register-tiled matrix product for any extents and any of the four layouts: a workgroup of 8x8 threads makes a 64x64 tile of
// the result, each thread 8x8 of it in registers, from slices of 8 along the inner dimension in workgroup memory. What lies outside reads
// as 0. How A and B are stored stands in the uniforms, so that one pipeline serves all layouts: it takes longer to compile than most other
// kernels together. The tilings of matmul-wide.ts are faster where extents allow them.
import type { Kernel } from "../launch.ts";
import { BIASED, type Ending, finishOf, outputsOf, scaleOf } from "./matmul-epilogue.ts";

export const TILE = 64;
/** Slices are cleared before the first use, which some compilers write out value by value: twice the depth, twice the time to compile. */
const DEPTH = 8;
/** Threads along each side of a workgroup. */
const THREADS = 8;
const LANES = ["x", "y", "z", "w"] as const;

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** One step along the inner dimension: 8 values of A times 8 of B onto the 64 accumulators. */
const multiply = range(8)
  .map((row) => {
    const a = `a${row >> 2}.${LANES[row & 3]}`;
    return `      c${row}l = c${row}l + ${a} * b0; c${row}h = c${row}h + ${a} * b1;`;
  })
  .join("\n");

const accumulators = range(8)
  .map((row) => `  var c${row}l = vec4<f32>(); var c${row}h = vec4<f32>();`)
  .join("\n");

const accumulated = range(8)
  .map((row) => `c${row}l, c${row}h`)
  .join(", ");

/** Which of a slice's vectors a thread loads: neighbours in memory by neighbouring threads. */
const place = (k: string, four: string, alongInner: string): string => `
      let ${k} = select(place / ${TILE / 4}, place % ${DEPTH}, ${alongInner});
      let ${four} = select(place % ${TILE / 4}, place / ${DEPTH}, ${alongInner});`;

const store = (name: string, value: string): string => `
    if (column < uniforms.columns) { ${name}[at] = ${value}.x; }
    if (column + 1 < uniforms.columns) { ${name}[at + 1] = ${value}.y; }
    if (column + 2 < uniforms.columns) { ${name}[at + 2] = ${value}.z; }
    if (column + 3 < uniforms.columns) { ${name}[at + 3] = ${value}.w; }`;

const body = (ending: Ending, scaled: boolean): string => `
var<workgroup> sliceA: array<array<vec4<f32>, ${TILE / 4}>, ${DEPTH}>;
var<workgroup> sliceB: array<array<vec4<f32>, ${TILE / 4}>, ${DEPTH}>;

fn valueA(base: i32, row: i32, k: i32) -> f32 {
  if (row >= uniforms.rows || k >= uniforms.inner) { return 0.0; }
  return f32(A[base + row * uniforms.rowA + k * uniforms.innerA]);
}
fn valueB(base: i32, k: i32, column: i32) -> f32 {
  if (column >= uniforms.columns || k >= uniforms.inner) { return 0.0; }
  return f32(B[base + k * uniforms.innerB + column * uniforms.columnB]);
}
fn biasAt(column: i32) -> vec4<f32> {
  if ((uniforms.epilogue & ${BIASED}) == 0) { return vec4<f32>(); }
  let last = uniforms.columns - 1;
  return vec4<f32>(bias[min(column, last)], bias[min(column + 1, last)], bias[min(column + 2, last)], bias[min(column + 3, last)]);
}
${finishOf(ending)}

@compute @workgroup_size(${THREADS}, ${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let batch = i32(group.z);
  let baseA = batch * uniforms.rows * uniforms.inner;
  let baseB = batch * uniforms.inner * uniforms.columns;
  let tileRow = i32(group.y) * ${TILE};
  let tileColumn = i32(group.x) * ${TILE};
  let x = i32(local.x);
  let y = i32(local.y);
${accumulators}

  for (var start = 0; start < uniforms.inner; start = start + ${DEPTH}) {
    for (var place = i32(index); place < ${(TILE * DEPTH) / 4}; place = place + ${THREADS * THREADS}) {${place("kA", "fourA", "uniforms.innerA == 1")}
      let row = tileRow + 4 * fourA;
      let atA = start + kA;
      sliceA[kA][fourA] = vec4<f32>(
        valueA(baseA, row, atA), valueA(baseA, row + 1, atA), valueA(baseA, row + 2, atA), valueA(baseA, row + 3, atA));${place("kB", "fourB", "uniforms.innerB == 1")}
      let column = tileColumn + 4 * fourB;
      let atB = start + kB;
      sliceB[kB][fourB] = vec4<f32>(
        valueB(baseB, atB, column), valueB(baseB, atB, column + 1), valueB(baseB, atB, column + 2), valueB(baseB, atB, column + 3));
    }
    workgroupBarrier();
    for (var k = 0; k < ${DEPTH}; k = k + 1) {
      let a0 = sliceA[k][2 * y];
      let a1 = sliceA[k][2 * y + 1];
      let b0 = sliceB[k][2 * x];
      let b1 = sliceB[k][2 * x + 1];
${multiply}
    }
    workgroupBarrier();
  }

  let base = batch * uniforms.rows * uniforms.columns;
  var sums = array<vec4<f32>, 16>(${accumulated});
  for (var part = 0; part < 16; part = part + 1) {
    let row = tileRow + 8 * y + part / 2;
    let column = tileColumn + 8 * x + 4 * (part % 2);
    if (row >= uniforms.rows) { continue; }
    let at = base + row * uniforms.columns + column;
    let sum = sums[part]${scaled ? " * uniforms.scale" : ""} + biasAt(column);
    let value = finish(sum);${store("result", "value")}${ending === "linear" ? "" : store("before", "sum")}
  }
}
`;

/** Element (row, k) of A lies at row * rowA + k * innerA, element (k, column) of B at k * innerB + column * columnB, batch after batch.
 *  A or B may be integers: TensorFlow.js casts int32 to float32 by name alone, so values are converted as they are read. Or both are packed:
 *  then the sums are multiplied by the last uniform. */
export const matmulKernel = (a: "f32" | "i32" | "f16", b: "f32" | "i32" | "f16", ending: Ending): Kernel => ({
  name: `matmul any ${a} ${b} ${ending}`,
  ...(a === "f16" ? { enables: ["f16"] } : {}),
  outputs: outputsOf(ending, "f32"),
  inputs: { A: a, B: b, bias: "f32" },
  uniforms: {
    ...{ rows: "i32", columns: "i32", inner: "i32", rowA: "i32", innerA: "i32", innerB: "i32", columnB: "i32", epilogue: "i32" },
    ...scaleOf(a),
  },
  body: body(ending, a === "f16"),
});
