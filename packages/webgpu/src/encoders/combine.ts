// WGSL of what is done to an update before it is encoded: parts are added to it or taken from it, and what earlier encodings did not say is
// added. What is not finite stays not finite, though WGSL promises nothing of arithmetic with infinities.
const THREADS = 64;
export const COMBINE_THREADS = THREADS;

const FINITE = "fn isFinite(bits: u32) -> bool { return (bits & 0x7f800000u) != 0x7f800000u; }";

/** `more` into `sum`, value by value. */
export const combineShader = (sign: "+" | "-"): string => `
@group(0) @binding(0) var<storage, read_write> sum: array<u32>;
@group(0) @binding(1) var<storage, read> more: array<u32>;
${FINITE}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&sum); i = i + groups.x * ${THREADS}u) {
    if (!isFinite(more[i])) { sum[i] = more[i]; }
    else if (isFinite(sum[i])) { sum[i] = bitcast<u32>(bitcast<f32>(sum[i]) ${sign} bitcast<f32>(more[i])); }
  }
}`;

/** The sum divided, and what is to be said beside it: one addition, which no device rounds otherwise. */
export const FEEDBACK = `
struct Uniforms { size: u32, key0: u32, key1: u32, divisor: f32 }
@group(0) @binding(0) var<storage, read_write> sum: array<u32>;
@group(0) @binding(1) var<storage, read> beside: array<u32>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;
${FINITE}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.size; i = i + groups.x * ${THREADS}u) {
    // A device may take a subnormal value for 0: what nothing is done to stays as it is.
    let changes = (beside[i] & 0x7fffffffu) != 0u;
    if (isFinite(sum[i]) && (changes || uniforms.divisor != 1.0)) {
      let mean = select(bitcast<f32>(sum[i]) / uniforms.divisor, bitcast<f32>(sum[i]), uniforms.divisor == 1.0);
      sum[i] = bitcast<u32>(mean + bitcast<f32>(beside[i]));
    }
  }
}`;
