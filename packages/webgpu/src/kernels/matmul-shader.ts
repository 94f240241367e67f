// WGSL of the register-tiled matrix product: a workgroup of 8x8 threads makes a 64x64 tile of the result, each thread 8x8 of it in
// registers, from slices of 16 along the inner dimension in workgroup memory. Any extents: what lies outside reads as 0. How A and B are
// stored stands in the uniforms, so that one pipeline serves all layouts: it takes longer to compile than all other kernels together.

export const TILE = 64;
const DEPTH = 16;
/** Threads along each side of a workgroup. */
export const THREADS = 8;
const LANES = ["x", "y", "z", "w"] as const;

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

const accumulated = range(8)
  .map((row) => `c${row}l, c${row}h`)
  .join(", ");

/** Body for TensorFlow.js's program frame, which declares A, B, result, uniforms and the ids. Element (row, k) of A lies at
 *  row * rowA + k * innerA, element (k, column) of B at k * innerB + column * columnB. A and B may be arrays of i32: TensorFlow.js casts
 *  int32 to float32 by name alone, so values are converted as they are read. */
export const MATMUL_UNIFORMS = "rows : i32, columns : i32, inner : i32, rowA : i32, innerA : i32, innerB : i32, columnB : i32,";

export const MATMUL_SHADER = `
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
    for (var part = 0; part < ${(TILE * DEPTH) / (THREADS * THREADS)}; part = part + 1) {
      let place = part * ${THREADS * THREADS} + thread;
      let k = place / ${TILE};
      let along = place % ${TILE};
      sliceA[k][along / 4][along % 4] = valueA(baseA, tileRow + along, start + k);
      sliceB[k][along / 4][along % 4] = valueB(baseB, start + k, tileColumn + along);
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

  var sums = array<vec4<f32>, 16>(${accumulated});
  let base = batch * uniforms.rows * uniforms.columns;
  for (var part = 0; part < 64; part = part + 1) {
    let row = tileRow + 8 * y + part / 8;
    let column = tileColumn + 8 * x + part % 8;
    if (row < uniforms.rows && column < uniforms.columns) { result[base + row * uniforms.columns + column] = sums[part / 4][part % 4]; }
  }
}
`;
