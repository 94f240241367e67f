// WGSL of the block-quantised codecs (int8, int4, ternary), step by step as packages/tensors/src/codecs/block-quantised.ts computes them: the
// scale of each block of 256 values, rounded up to f16 in integers, and stochastically rounded levels; then the packing of levels. Sizes and
// draws are exact on every device; a quotient may be 2.5 ULP off where a device divides so, which now and then moves a level by one.
import { THREEFRY } from "../kernels/random.ts";
import { F16 } from "./f16.ts";

/** Values that a workgroup quantises at once: two blocks, so that their scales fill a word. */
export const PAIR = 512;
const THREADS = 64;
const EACH = PAIR / THREADS;

/** `top`: levels are whole numbers from -top to top. Writes them as bytes, four a word, and the scales, two a word. */
export const quantiseShader = (top: number): string => `
struct Uniforms { size: u32, key0: u32, key1: u32, divisor: f32 }
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> levels: array<u32>;
@group(0) @binding(2) var<storage, read_write> scales: array<u32>;
/** Above 0: a value is not finite; so many less than 2^32 - 1 is the first block beyond f16. */
@group(0) @binding(3) var<storage, read_write> faults: array<atomic<u32>, 2>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;
${THREEFRY}
${F16}
var<workgroup> largest: array<atomic<u32>, 2>;

/** By its bits, since a device may take a subnormal value for 0. */
fn bitsAt(i: u32) -> u32 {
  if (i >= uniforms.size) { return 0u; }
  // WGSL promises nothing of quotients of infinities.
  if (uniforms.divisor == 1.0 || (values[i] & 0x7f800000u) == 0x7f800000u) { return values[i]; }
  return bitcast<u32>(bitcast<f32>(values[i]) / uniforms.divisor);
}
fn levelOf(bits: u32, scale: f32, word: u32) -> u32 {
  let share = (bitcast<f32>(bits) / scale) * ${top}.0;
  let level = floor(share + f32(word >> 8u) * ${2 ** -24});
  return u32(i32(clamp(level, -${top}.0, ${top}.0))) & 0xffu;
}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let mine = thread / ${THREADS / 2}u;
  for (var pair = group.x; pair * ${PAIR}u < uniforms.size; pair = pair + groups.x) {
    if (thread < 2u) { atomicStore(&largest[thread], 0u); }
    workgroupBarrier();
    let first = pair * ${PAIR}u + thread * ${EACH}u;
    var bits: array<u32, ${EACH}>;
    var most = 0u;
    for (var k = 0u; k < ${EACH}u; k++) {
      bits[k] = bitsAt(first + k);
      most = max(most, bits[k] & 0x7fffffffu);
    }
    atomicMax(&largest[mine], most);
    workgroupBarrier();
    let both = vec2<u32>(f16RoundedUp(atomicLoad(&largest[0])), f16RoundedUp(atomicLoad(&largest[1])));
    if (most >= 0x7f800000u) { atomicMax(&faults[0], 1u); }
    if (both[mine] == 0x7c00u) { atomicMax(&faults[1], 0xffffffffu - 2u * pair - mine); }
    if (thread == 0u) { scales[pair] = both.x | (both.y << 16u); }
    let scale = f16Value(both[mine]);
    for (var k = 0u; k < ${EACH}u; k += 4u) {
      var word = 0u;
      if (both[mine] != 0u) {
        let at = first + k;
        let key = vec2<u32>(uniforms.key0, uniforms.key1);
        let draws = vec4<u32>(threefry(key, vec2<u32>(at / 2u, 0u)), threefry(key, vec2<u32>(at / 2u + 1u, 0u)));
        for (var byte = 0u; byte < 4u; byte++) { word = word | (levelOf(bits[k + byte], scale, draws[byte]) << (8u * byte)); }
      }
      levels[(first + k) / 4u] = word;
    }
    workgroupBarrier();
  }
}`;

/** One word of packed bytes from levels: `statement` computes `word` for word `i`. */
const packShader = (statement: string): string => `
struct Uniforms { words: u32 }
@group(0) @binding(0) var<storage, read> levels: array<u32>;
@group(0) @binding(1) var<storage, read_write> packed: array<u32>;
@group(0) @binding(2) var<uniform> uniforms: Uniforms;
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < uniforms.words; i = i + groups.x * ${THREADS}u) {
    var word = 0u;
    ${statement}
    packed[i] = word;
  }
}`;

export const PACK_THREADS = THREADS;

/** Eight halves a word, the first value lowest. */
export const PACK_INT4 = packShader(`
    for (var at = 0u; at < 8u; at++) {
      let level = (levels[2u * i + at / 4u] >> (8u * (at % 4u))) & 15u;
      word = word | (level << (4u * at));
    }`);

/** Four bytes of five digits to base 3 a word, the first value in the lowest digit; 2 stands for -1. */
export const PACK_TERNARY = packShader(`
    for (var byte = 0u; byte < 4u; byte++) {
      var digits = 0u;
      for (var trit = 5u; trit > 0u; trit--) {
        let at = 5u * byte + trit - 1u;
        let level = (levels[5u * i + at / 4u] >> (8u * (at % 4u))) & 0xffu;
        digits = digits * 3u + min(level, 2u);
      }
      word = word | (digits << (8u * byte));
    }`);
