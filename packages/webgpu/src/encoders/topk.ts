// WGSL of the codec topk, as packages/tensors/src/codecs/topk.ts computes it: of each block of 4,096 values the 64 of largest magnitude, among
// equal ones those that come first. One workgroup a block: the least magnitude that is chosen is found digit by digit, by counts of how many
// values have each digit; places are then numbered by sums of counts. All in integers: the same bytes on every device.
import { F16 } from "./f16.ts";

export const TOPK_BLOCK = 4096;
const SHARE = 64;
const INDEX_BITS = 12;
const WORD_BITS = INDEX_BITS + 2;
const BLOCK_BITS = 16 + (TOPK_BLOCK / SHARE) * WORD_BITS;
const THREADS = 256;
const EACH = TOPK_BLOCK / THREADS;

export function topkBytes(size: number): number {
  const rest = size % TOPK_BLOCK;
  const bits = Math.floor(size / TOPK_BLOCK) * BLOCK_BITS + (rest === 0 ? 0 : 16 + Math.ceil(rest / SHARE) * WORD_BITS);
  return Math.ceil(bits / 8);
}

/** Encodes `values` into `packed`, which holds zeros, and writes what that does not say to `residual`. */
export const TOPK = `
struct Uniforms { size: u32 }
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> residual: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<atomic<u32>>;
/** Above 0: a value is not finite; so many less than 2^32 - 1 is the first block beyond f16. */
@group(0) @binding(3) var<storage, read_write> faults: array<atomic<u32>, 2>;
@group(0) @binding(4) var<uniform> uniforms: Uniforms;
${F16}
var<workgroup> largest: atomic<u32>;
var<workgroup> counts: array<atomic<u32>, 256>;
/** The digits of the least chosen magnitude that are known, and how many of the values that begin with them are to be chosen. */
var<workgroup> known: u32;
var<workgroup> wanted: u32;
/** Of each thread how many values are larger than the least chosen, and how many equal; then of all threads before it. */
var<workgroup> larger: array<u32, ${THREADS}>;
var<workgroup> equal: array<u32, ${THREADS}>;

/** Whether a magnitude is nearer to m than to m/3, which is at least 2m/3: 3v >= 2m, in integers. */
fn isLarge(magnitude: u32, scale: f32) -> bool {
  let whole = bitcast<u32>(scale);
  let apart = (whole >> 23u) - (magnitude >> 23u);
  if (whole == 0u || apart > 1u || (magnitude >> 23u) == 0u) { return false; }
  let ours = 3u * ((magnitude & 0x7fffffu) | 0x800000u);
  return ours >= ((whole & 0x7fffffu) | 0x800000u) << (1u + apart);
}
/** A third of a scale, rounded as the processor rounds it: WGSL's division may be off. What a scale is lies far above the subnormal values. */
fn thirdOf(scale: f32) -> f32 {
  let whole = bitcast<u32>(scale);
  if (whole == 0u) { return 0.0; }
  let mantissa = (whole & 0x7fffffu) | 0x800000u;
  let half = select(0u, 1u, mantissa < 0xc00000u);
  // Of three parts the nearest whole is never in doubt.
  let third = ((mantissa << (1u + half)) + 1u) / 3u;
  return bitcast<f32>((((whole >> 23u) - 1u - half) << 23u) | (third & 0x7fffffu));
}
fn put(bitAt: u32, word: u32) {
  let shift = bitAt % 32u;
  atomicOr(&packed[bitAt / 32u], word << shift);
  if (shift > ${32 - WORD_BITS}u) { atomicOr(&packed[bitAt / 32u + 1u], word >> (32u - shift)); }
}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  for (var block = group.x; block * ${TOPK_BLOCK}u < uniforms.size; block = block + groups.x) {
    let begin = block * ${TOPK_BLOCK}u;
    let first = begin + thread * ${EACH}u;
    // What lies beyond the last value is nobody's.
    let own = min(uniforms.size, first + ${EACH}u) - min(uniforms.size, first);
    var bits: array<u32, ${EACH}>;
    var most = 0u;
    for (var k = 0u; k < own; k++) {
      bits[k] = values[first + k];
      most = max(most, bits[k] & 0x7fffffffu);
    }
    if (thread == 0u) {
      atomicStore(&largest, 0u);
      known = 0u;
      wanted = (min(uniforms.size - begin, ${TOPK_BLOCK}u) + ${SHARE - 1}u) / ${SHARE}u;
    }
    workgroupBarrier();
    atomicMax(&largest, most);
    if (most >= 0x7f800000u) { atomicMax(&faults[0], 1u); }
    for (var shift = 24i; shift >= 0; shift -= 8) {
      atomicStore(&counts[thread], 0u);
      workgroupBarrier();
      let before = known;
      for (var k = 0u; k < own; k++) {
        let magnitude = bits[k] & 0x7fffffffu;
        if ((magnitude >> u32(shift)) >> 8u == before) { atomicAdd(&counts[(magnitude >> u32(shift)) & 0xffu], 1u); }
      }
      workgroupBarrier();
      if (thread == 0u) {
        var digit = 255u;
        var left = wanted;
        for (; atomicLoad(&counts[digit]) < left; digit--) { left -= atomicLoad(&counts[digit]); }
        known = (before << 8u) | digit;
        wanted = left;
      }
      workgroupBarrier();
    }
    let least = known;
    let ofEqual = wanted;
    larger[thread] = 0u;
    equal[thread] = 0u;
    for (var k = 0u; k < own; k++) {
      let magnitude = bits[k] & 0x7fffffffu;
      larger[thread] += select(0u, 1u, magnitude > least);
      equal[thread] += select(0u, 1u, magnitude == least);
    }
    workgroupBarrier();
    if (thread == 0u) {
      var sums = vec2<u32>(0u, 0u);
      for (var at = 0u; at < ${THREADS}u; at++) {
        let here = vec2<u32>(larger[at], equal[at]);
        larger[at] = sums.x;
        equal[at] = sums.y;
        sums += here;
      }
    }
    workgroupBarrier();
    let scaleBits = f16RoundedUp(atomicLoad(&largest));
    let scale = f16Value(scaleBits);
    if (thread == 0u) {
      if (scaleBits == 0x7c00u) { atomicMax(&faults[1], 0xffffffffu - block); }
      put(block * ${BLOCK_BITS}u, scaleBits);
    }
    var equals = equal[thread];
    var chosen = larger[thread] + min(equals, ofEqual);
    for (var k = 0u; k < own; k++) {
      let magnitude = bits[k] & 0x7fffffffu;
      let isEqual = magnitude == least;
      var said = 0.0;
      if (magnitude > least || (isEqual && equals < ofEqual)) {
        let isBelow = bits[k] > 0x80000000u;
        let isAtScale = isLarge(magnitude, scale);
        let word = (thread * ${EACH}u + k) | select(0u, ${1 << INDEX_BITS}u, isAtScale) | select(0u, ${2 << INDEX_BITS}u, isBelow);
        put(block * ${BLOCK_BITS}u + 16u + chosen * ${WORD_BITS}u, word);
        chosen += 1u;
        said = select(thirdOf(scale), scale, isAtScale);
        said = select(said, -said, isBelow);
      }
      if (isEqual) { equals += 1u; }
      residual[first + k] = bitcast<f32>(bits[k]) - said;
    }
    workgroupBarrier();
  }
}`;
