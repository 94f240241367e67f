// Sums and maxima over the threads of a workgroup, for kernels that give each row to one workgroup: by halves in workgroup memory, or, where
// the device has subgroups, within each subgroup first, which takes two barriers instead of fourteen.
import type { Kernel } from "../launch.ts";

/** Threads of a workgroup that works on one row. */
export const ROW_THREADS = 64;

const byHalves = (name: string, merged: (a: string, b: string) => string): string => `
fn ${name}(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = ${ROW_THREADS / 2}u; half > 0u; half = half / 2u) {
    if (thread < half) { partial[thread] = ${merged("partial[thread]", "partial[thread + half]")}; }
    workgroupBarrier();
  }
  let all = partial[0];
  workgroupBarrier();
  return all;
}
`;

/** Every thread merges the subgroups' values in the same order. */
const bySubgroups = (name: string, builtin: string, merged: (a: string, b: string) => string): string => `
fn ${name}(thread: u32, value: f32) -> f32 {
  let mine = ${builtin}(value);
  if (subgroupElect()) { partial[subgroupNumber] = mine; }
  workgroupBarrier();
  var all = partial[0];
  for (var other = 1u; other < subgroupCount; other = other + 1u) { all = ${merged("all", "partial[other]")}; }
  workgroupBarrier();
  return all;
}
`;

const added = (a: string, b: string): string => `${a} + ${b}`;
const larger = (a: string, b: string): string => `max(${a}, ${b})`;

const PLAIN = `
var<workgroup> partial: array<f32, ${ROW_THREADS}>;${byHalves("rowSum", added)}${byHalves("rowMax", larger)}`;
const WITHIN_SUBGROUPS = `
var<workgroup> partial: array<f32, ${ROW_THREADS}>;
var<private> subgroupNumber: u32;
var<private> subgroupCount: u32;${bySubgroups("rowSum", "subgroupAdd", added)}${bySubgroups("rowMax", "subgroupMax", larger)}`;

/** Completes a kernel whose `main`, of ROW_THREADS threads, has these statements. They may call `rowSum(thread, value)` and
 *  `rowMax(thread, value)`, from uniform control flow alone, and get the sum, or the largest, of all threads' values. They know `id`, `group`,
 *  `groups` and `thread`. */
export function rowKernel(kernel: Omit<Kernel, "enables" | "body">, subgroups: boolean, statements: string): Kernel {
  const own = subgroups ? "\n  @builtin(subgroup_id) ownSubgroup: u32,\n  @builtin(num_subgroups) subgroups: u32," : "";
  return {
    ...kernel,
    name: subgroups ? `${kernel.name} subgroups` : kernel.name,
    ...(subgroups ? { enables: ["subgroups"] } : {}),
    body: `${subgroups ? WITHIN_SUBGROUPS : PLAIN}
@compute @workgroup_size(${ROW_THREADS})
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,${own}
) {${subgroups ? "\n  subgroupNumber = ownSubgroup;\n  subgroupCount = subgroups;" : ""}
${statements}
}`,
  };
}
