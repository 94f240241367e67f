// WGSL of the register-tiled matrix product: a workgroup of 8x8 threads makes a 64x64 tile of the result, each thread 8x8 of it in
// registers, from slices of 16 along the inner dimension in workgroup memory. Any extents: what lies outside reads as 0.

export const TILE = 64;
const DEPTH = 16;
/** Threads along each side of a workgroup. */
export const THREADS = 8;
const LANES = ["x", "y", "z", "w"] as const;

export interface MatmulLayout {
  /** A is stored [inner, rows] instead of [rows, inner]. */
  readonly transposeA: boolean;
  /** B is stored [columns, inner] instead of [inner, columns]. */
  readonly transposeB: boolean;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** One step along the inner dimension: 8 values of A times 8 of B onto the 64 accumulators. */
const multiply = range(8)
  .map((row) => {
    const a = `a${row >> 2}.${LANES[row & 3]}`;
    return `      c${row}l = fma(vec4<f32>(${a}), b0, c${row}l);\n      c${row}h = fma(vec4<f32>(${a}), b1, c${row}h);`;
  })
  .join("\n");

const accumulators = range(8)
  .map((row) => `  var c${row}l = vec4<f32>(); var c${row}h = vec4<f32>();`)
  .join("\n");

const store = range(8)
  .map((row) => `  storeRow(base, row0 + ${row}, column0, c${row}l); storeRow(base, row0 + ${row}, column0 + 4, c${row}h);`)
  .join("\n");

/** Body for TensorFlow.js's program frame, which declares A, B, result, uniforms (with rows, columns, inner) and the ids. A and B may be
 *  arrays of i32: TensorFlow.js casts int32 to float32 by name alone, so values are converted as they are read. */
export const matmulShader = ({ transposeA, transposeB }: MatmulLayout): string => `
var<workgroup> sliceA: array<array<vec4<f32>, ${TILE / 4}>, ${DEPTH}>;
var<workgroup> sliceB: array<array<vec4<f32>, ${TILE / 4}>, ${DEPTH}>;

fn valueA(base: i32, row: i32, k: i32) -> f32 {
  if (row >= uniforms.rows || k >= uniforms.inner) { return 0.0; }
  return f32(A[base + ${transposeA ? "k * uniforms.rows + row" : "row * uniforms.inner + k"}]);
}
fn valueB(base: i32, k: i32, column: i32) -> f32 {
  if (column >= uniforms.columns || k >= uniforms.inner) { return 0.0; }
  return f32(B[base + ${transposeB ? "column * uniforms.inner + k" : "k * uniforms.columns + column"}]);
}
fn storeValue(base: i32, row: i32, column: i32, value: f32) {
  if (row < uniforms.rows && column < uniforms.columns) { result[base + row * uniforms.columns + column] = value; }
}
fn storeRow(base: i32, row: i32, column: i32, value: vec4<f32>) {
  storeValue(base, row, column, value.x);
  storeValue(base, row, column + 1, value.y);
  storeValue(base, row, column + 2, value.z);
  storeValue(base, row, column + 3, value.w);
}

fn main() {
  let batch = i32(workgroupId.z);
  let baseA = batch * uniforms.rows * uniforms.inner;
  let baseB = batch * uniforms.inner * uniforms.columns;
  let tileRow = i32(workgroupId.y) * ${TILE};
  let tileColumn = i32(workgroupId.x) * ${TILE};
  let thread = i32(localIndex);
  let x = i32(localId.x);
  let y = i32(localId.y);
${accumulators}

  for (var start = 0; start < uniforms.inner; start = start + ${DEPTH}) {
    for (var part = 0; part < ${(TILE * DEPTH) / 4 / (THREADS * THREADS)}; part = part + 1) {
      let place = part * ${THREADS * THREADS} + thread;
      let k = place / ${TILE / 4};
      let four = place % ${TILE / 4};
      let row = tileRow + 4 * four;
      let column = tileColumn + 4 * four;
      let at = start + k;
      sliceA[k][four] = vec4<f32>(valueA(baseA, row, at), valueA(baseA, row + 1, at), valueA(baseA, row + 2, at), valueA(baseA, row + 3, at));
      sliceB[k][four] = vec4<f32>(valueB(baseB, at, column), valueB(baseB, at, column + 1), valueB(baseB, at, column + 2), valueB(baseB, at, column + 3));
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
  let row0 = tileRow + 8 * y;
  let column0 = tileColumn + 8 * x;
${store}
}
`;
