// WGSL that kernels share which give each row to one workgroup.

/** Threads of a workgroup that works on one row. */
export const ROW_THREADS = 64;

/** `rowSum(thread, value)`: the sum of all threads' values, for each of them. Call it from uniform control flow alone. */
export const ROW_SUM = `
var<workgroup> partial: array<f32, ${ROW_THREADS}>;
fn rowSum(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = ${ROW_THREADS / 2}u; half > 0u; half = half / 2u) {
    if (thread < half) { partial[thread] = partial[thread] + partial[thread + half]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}
`;

/** `rowMax(thread, value)`, likewise. */
export const ROW_MAX = `
fn rowMax(thread: u32, value: f32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = ${ROW_THREADS / 2}u; half > 0u; half = half / 2u) {
    if (thread < half) { partial[thread] = max(partial[thread], partial[thread + half]); }
    workgroupBarrier();
  }
  let largest = partial[0];
  workgroupBarrier();
  return largest;
}
`;
