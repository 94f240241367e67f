// WGSL of the matrix product for extents that vectors of four divide: loads and stores of four values at once, in several tilings. No one
// of them is best on every GPU: NVIDIA's like large tiles staged in workgroup memory, Apple's small ones read straight from memory; the
// tuner measures. One pipeline a layout.
import type { Kernel } from "../launch.ts";
import { BIASED, type Ending, finishOf, outputsOf, scaleOf } from "./matmul-epilogue.ts";

export interface Layout {
  /** A is stored [inner, rows] instead of [rows, inner]. */
  readonly transposeA: boolean;
  /** B is stored [columns, inner] instead of [inner, columns]. */
  readonly transposeB: boolean;
}
export interface Tiling {
  readonly name: string;
  /** Threads of a workgroup along the columns and along the rows. */
  readonly threads: readonly [number, number];
  /** Rows and columns of the result that one thread keeps in registers, multiples of 4. */
  readonly block: readonly [number, number];
  /** `memory`: each thread reads what it needs. Otherwise slices of `DEPTH` are put in workgroup memory first. */
  readonly staging: "memory" | "workgroup";
  /** How the factors are stored, in buffers and in workgroup memory. */
  readonly factors: "f32" | "f16";
}

/** Slices along the inner dimension: with 16, each thread loads a whole number of 4x4 blocks of every tiling below. */
const DEPTH = 16;

export const WIDE_TILINGS: readonly Tiling[] = [
  { name: "64x64", threads: [8, 8], block: [8, 8], staging: "workgroup", factors: "f32" },
  { name: "128x128", threads: [16, 16], block: [8, 8], staging: "workgroup", factors: "f32" },
  { name: "128x64", threads: [8, 16], block: [8, 8], staging: "workgroup", factors: "f32" },
  { name: "32x32", threads: [8, 8], block: [4, 4], staging: "workgroup", factors: "f32" },
  { name: "32x32 memory", threads: [8, 8], block: [4, 4], staging: "memory", factors: "f32" },
  // Fewer loads a product, where registers or a processor's cache hold as many sums.
  { name: "128x64 by 16x8", threads: [8, 8], block: [16, 8], staging: "workgroup", factors: "f32" },
  { name: "64x64 by 16x16", threads: [4, 4], block: [16, 16], staging: "workgroup", factors: "f32" },
  { name: "64x32 memory", threads: [8, 8], block: [8, 4], staging: "memory", factors: "f32" },
];
/** The same on factors that packHalf has packed: half the traffic and half the workgroup memory, sums still in f32. */
export const HALF_TILINGS: readonly Tiling[] = WIDE_TILINGS.map((tiling) => ({ ...tiling, name: `${tiling.name} f16`, factors: "f16" }));

/** Rows and columns of the result that a workgroup makes. */
export const tileOf = ({ threads, block }: Tiling): readonly [number, number] => [threads[1] * block[0], threads[0] * block[1]];

export interface Extents {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
}

/** Whether every vector of four lies within one row as it is stored. */
export function dividesByFour({ rows, columns, inner }: Extents, { transposeA, transposeB }: Layout): boolean {
  const whole = (extent: number): boolean => extent % 4 === 0;
  return whole(columns) && whole(transposeA ? rows : inner) && (!transposeB || whole(inner));
}

const LANES = ["x", "y", "z", "w"] as const;
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const lines = (count: number, line: (index: number) => string): string => range(count).map(line).join("\n");

/** `block${name}(base, at, k)`: 4x4 values at `at` along the side that the result keeps and at `k` along the inner one, as four vectors along
 *  the former, one a step of k. Outside they are 0. */
function blockFunction(name: "A" | "B", side: "rows" | "columns", alongInner: boolean, number: Tiling["factors"]): string {
  const alongSide = `mat4x4<${number}>(${range(4)
    .map((j) => `vector${name}(base + (k + ${j}) * uniforms.${side} + at, k + ${j} < uniforms.inner && at < uniforms.${side})`)
    .join(", ")})`;
  const acrossInner = `transpose(mat4x4<${number}>(${range(4)
    .map((i) => `vector${name}(base + (at + ${i}) * uniforms.inner + k, at + ${i} < uniforms.${side} && k < uniforms.inner)`)
    .join(", ")}))`;
  return `
fn vector${name}(place: i32, inside: bool) -> vec4<${number}> {
  if (!inside) { return vec4<${number}>(); }
  return ${name}[place / 4];
}
fn block${name}(base: i32, at: i32, k: i32) -> mat4x4<${number}> { return ${alongInner ? acrossInner : alongSide}; }`;
}

/** Rows and columns of group r or c of a thread: groups of neighbouring threads lie side by side. */
const rowOf = (tiling: Tiling, r: number): string => `tileRow + 4 * (y + ${r * tiling.threads[1]})`;
const columnOf = (tiling: Tiling, c: number): string => `tileColumn + 4 * (x + ${c * tiling.threads[0]})`;

function staged(tiling: Tiling, { transposeA, transposeB }: Layout): string {
  const [tileRows, tileColumns] = tileOf(tiling);
  const [groupsA, groupsB] = [tileRows / 4, tileColumns / 4];
  const steps = DEPTH / 4;
  const load = (name: "A" | "B", groups: number, alongInner: boolean, from: string): string => `
      let at = ${alongInner ? `place / ${steps}` : `place % ${groups}`};
      let k = ${alongInner ? `place % ${steps}` : `place / ${groups}`};
      let block = block${name}(base${name}, ${from} + 4 * at, start + 4 * k);
${lines(4, (j) => `      slice${name}[4 * k + ${j}][at] = block[${j}];`)}`;
  const [r, c] = [tiling.block[0] / 4, tiling.block[1] / 4];
  return `
  for (var start = 0; start < uniforms.inner; start = start + ${DEPTH}) {
    for (var place = i32(index); place < ${groupsA * steps}; place = place + ${tiling.threads[0] * tiling.threads[1]}) {${load("A", groupsA, !transposeA, "tileRow")}
    }
    for (var place = i32(index); place < ${groupsB * steps}; place = place + ${tiling.threads[0] * tiling.threads[1]}) {${load("B", groupsB, transposeB, "tileColumn")}
    }
    workgroupBarrier();
    for (var k = 0; k < ${DEPTH}; k = k + 1) {
${lines(r, (group) => `      let a${group} = vec4<f32>(sliceA[k][y + ${group * tiling.threads[1]}]);`)}
${lines(c, (group) => `      let b${group} = vec4<f32>(sliceB[k][x + ${group * tiling.threads[0]}]);`)}
${multiply(
  tiling,
  (group) => `a${group}`,
  (group) => `b${group}`,
)}
    }
    workgroupBarrier();
  }`;
}

/** Products of one step along the inner dimension onto the accumulators. */
function multiply(tiling: Tiling, a: (group: number) => string, b: (group: number) => string): string {
  const [rows, columns] = tiling.block;
  return lines(rows, (row) =>
    range(columns / 4)
      .map((c) => `s${row}_${c} += ${a(row >> 2)}.${LANES[row & 3]} * ${b(c)};`)
      .join(" "),
  );
}

function straight(tiling: Tiling): string {
  const [r, c] = [tiling.block[0] / 4, tiling.block[1] / 4];
  return `
  for (var k = 0; k < uniforms.inner; k = k + 4) {
${lines(r, (group) => `    let a${group} = mat4x4<f32>(blockA(baseA, ${rowOf(tiling, group)}, k));`)}
${lines(c, (group) => `    let b${group} = mat4x4<f32>(blockB(baseB, ${columnOf(tiling, group)}, k));`)}
${lines(4, (j) =>
  multiply(
    tiling,
    (group) => `a${group}[${j}]`,
    (group) => `b${group}[${j}]`,
  ),
)}
  }`;
}

function body(tiling: Tiling, layout: Layout, ending: Ending): string {
  const [tileRows, tileColumns] = tileOf(tiling);
  const [rows, columns] = tiling.block;
  const sums = range(rows).flatMap((row) => range(columns / 4).map((c) => `s${row}_${c}`));
  const slices =
    tiling.staging === "memory"
      ? ""
      : `var<workgroup> sliceA: array<array<vec4<${tiling.factors}>, ${tileRows / 4}>, ${DEPTH}>;
var<workgroup> sliceB: array<array<vec4<${tiling.factors}>, ${tileColumns / 4}>, ${DEPTH}>;`;
  return `
${slices}${blockFunction("A", "rows", !layout.transposeA, tiling.factors)}${blockFunction("B", "columns", layout.transposeB, tiling.factors)}
fn biasAt(column: i32) -> vec4<f32> {
  if ((uniforms.epilogue & ${BIASED}) == 0) { return vec4<f32>(); }
  return bias[column / 4];
}
${finishOf(ending)}

@compute @workgroup_size(${tiling.threads.join(", ")})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let batch = i32(group.z);
  let baseA = batch * uniforms.rows * uniforms.inner;
  let baseB = batch * uniforms.inner * uniforms.columns;
  let tileRow = i32(group.y) * ${tileRows};
  let tileColumn = i32(group.x) * ${tileColumns};
  let x = i32(local.x);
  let y = i32(local.y);
${sums.map((name) => `  var ${name} = vec4<f32>();`).join("\n")}
${tiling.staging === "memory" ? straight(tiling) : staged(tiling, layout)}

  let base = batch * uniforms.rows * uniforms.columns;
  var sums = array<vec4<f32>, ${sums.length}>(${sums.join(", ")});
  for (var part = 0; part < ${sums.length}; part = part + 1) {
    let own = part / ${columns / 4};
    let row = tileRow + 4 * (y + (own / 4) * ${tiling.threads[1]}) + own % 4;
    let column = tileColumn + 4 * (x + (part % ${columns / 4}) * ${tiling.threads[0]});
    if (row >= uniforms.rows || column >= uniforms.columns) { continue; }
    let at = (base + row * uniforms.columns + column) / 4;
    let sum = sums[part]${tiling.factors === "f16" ? " * uniforms.scale" : ""} + biasAt(column);
    result[at] = finish(sum);${ending === "linear" ? "" : "\n    before[at] = sum;"}
  }
}
`;
}

/** For extents that `dividesByFour` admits. A and B are f32, or packed; then the sums are multiplied by the last uniform. */
export const wideMatmulKernel = (tiling: Tiling, layout: Layout, ending: Ending): Kernel => ({
  name: `matmul ${tiling.name} ${layout.transposeA ? "T" : "N"}${layout.transposeB ? "T" : "N"} ${ending}`,
  ...(tiling.factors === "f16" ? { enables: ["f16"] } : {}),
  outputs: outputsOf(ending, "vec4<f32>"),
  inputs: { A: `vec4<${tiling.factors}>`, B: `vec4<${tiling.factors}>`, bias: "vec4<f32>" },
  uniforms: { rows: "i32", columns: "i32", inner: "i32", epilogue: "i32", ...scaleOf(tiling.factors) },
  body: body(tiling, layout, ending),
});
