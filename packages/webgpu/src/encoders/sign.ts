// WGSL of the codec sign, as packages/tensors/src/codecs/sign.ts computes it: a bit for each value below zero, and the mean magnitude of each
// block of 256 values as the nearest f16. Magnitudes are added up in integers, so that scales are those of sums in f64 on every device.
import { F16 } from "./f16.ts";
import { PAIR } from "./quantise.ts";

const THREADS = 64;
const EACH = PAIR / THREADS;
const BLOCK = PAIR / 2;

/** Encodes `values`, and writes what that does not say to `residual`. Bits, 32 a word; scales, two a word. */
export const SIGN = `
struct Uniforms { size: u32 }
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> residual: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
/** Above 0: a value is not finite; so many less than 2^32 - 1 is the first block beyond f16. */
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>, 2>;
@group(0) @binding(5) var<uniform> uniforms: Uniforms;
${F16}
var<workgroup> largest: array<atomic<u32>, 2>;
/** Of each block's sum the whole part and two halves of the fraction, as \`addTo\` takes them. */
var<workgroup> sums: array<atomic<u32>, 6>;
var<workgroup> signs: array<atomic<u32>, ${PAIR / 32}>;

fn exponentOf(bits: u32) -> u32 { return max((bits >> 23u) & 0xffu, 1u); }
/** In units of the last bit of the block's largest, whose exponent is \`top\`, with 32 bits behind the point: 256 of them fill 64 bits. */
fn addTo(block: u32, bits: u32, top: u32) {
  let mantissa = (bits & 0x7fffffu) | select(0u, 0x800000u, (bits & 0x7f800000u) != 0u);
  let shift = top - exponentOf(bits);
  var whole = 0u;
  var fraction = 0u;
  if (shift == 0u) { whole = mantissa; }
  else if (shift < 32u) { whole = mantissa >> shift; fraction = mantissa << (32u - shift); }
  else if (shift < 56u) { fraction = mantissa >> (shift - 32u); }
  atomicAdd(&sums[3u * block], whole);
  atomicAdd(&sums[3u * block + 1u], fraction >> 16u);
  atomicAdd(&sums[3u * block + 2u], fraction & 0xffffu);
}
/** The f16 nearest to the f32 nearest to the mean of a block's \`count\` magnitudes. */
fn scaleOf(block: u32, count: u32, top: u32) -> u32 {
  if (count == 0u) { return 0u; }
  let low = atomicLoad(&sums[3u * block + 2u]);
  let middle = atomicLoad(&sums[3u * block + 1u]) + (low >> 16u);
  let whole = atomicLoad(&sums[3u * block]) + (middle >> 16u);
  // Divided as on paper, by digits of 16 bits.
  var digits = array<u32, 4>(whole >> 16u, whole & 0xffffu, middle & 0xffffu, low & 0xffffu);
  var rest = 0u;
  for (var at = 0u; at < 4u; at++) {
    let dividend = (rest << 16u) | digits[at];
    digits[at] = dividend / count;
    rest = dividend % count;
  }
  let above = (digits[0] << 16u) | digits[1];
  let below = (digits[2] << 16u) | digits[3];
  if (above == 0u && below == 0u) { return 0u; }
  // The leading 32 bits, and whether anything but zeros follows them. A mean of mantissas leaves 8 bits of \`above\` free.
  var leading = below;
  var place = 31u;
  var follows = rest != 0u;
  if (above != 0u) {
    let free = countLeadingZeros(above);
    leading = (above << free) | (below >> (32u - free));
    follows = follows || (below << free) != 0u;
    place = 63u - free;
  } else {
    let free = countLeadingZeros(below);
    leading = below << free;
    place = 31u - free;
  }
  var mantissa = leading >> 8u;
  let dropped = leading & 0xffu;
  if (dropped > 128u || (dropped == 128u && (follows || (mantissa & 1u) == 1u))) { mantissa += 1u; }
  // Bit 55 is the leading one of a mantissa with the exponent \`top\`. Below the smallest normal f32 there is no f16.
  let exponent = i32(top) + i32(place) - 55;
  if (exponent <= 0) { return 0u; }
  return f16Nearest((u32(exponent - 1) << 23u) + mantissa);
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
    if (thread < 6u) { atomicStore(&sums[thread], 0u); }
    if (thread < ${PAIR / 32}u) { atomicStore(&signs[thread], 0u); }
    workgroupBarrier();
    let place = thread * ${EACH}u;
    let first = pair * ${PAIR}u + place;
    var bits: array<u32, ${EACH}>;
    var most = 0u;
    var below = 0u;
    for (var k = 0u; k < ${EACH}u; k++) {
      bits[k] = 0u;
      if (first + k < uniforms.size) { bits[k] = values[first + k]; }
      most = max(most, bits[k] & 0x7fffffffu);
      if (bits[k] > 0x80000000u) { below = below | (1u << k); }
    }
    atomicMax(&largest[mine], most);
    atomicOr(&signs[place / 32u], below << (place % 32u));
    if (most >= 0x7f800000u) { atomicMax(&faults[0], 1u); }
    workgroupBarrier();
    let top = exponentOf(atomicLoad(&largest[mine]));
    for (var k = 0u; k < ${EACH}u; k++) {
      if ((bits[k] & 0x7fffffffu) != 0u) { addTo(mine, bits[k], top); }
    }
    workgroupBarrier();
    let begin = pair * ${PAIR}u + mine * ${BLOCK}u;
    let count = min(uniforms.size, begin + ${BLOCK}u) - min(uniforms.size, begin);
    let scaleBits = scaleOf(mine, count, top);
    if (scaleBits == 0x7c00u) { atomicMax(&faults[1], 0xffffffffu - 2u * pair - mine); }
    let scale = f16Value(scaleBits);
    for (var k = 0u; k < ${EACH}u; k++) {
      if (first + k < uniforms.size) { residual[first + k] = bitcast<f32>(bits[k]) - select(scale, -scale, bits[k] > 0x80000000u); }
    }
    // One thread of each block says its scale.
    if (thread % ${THREADS / 2}u == 0u) { atomicStore(&largest[mine], scaleBits); }
    workgroupBarrier();
    if (thread == 0u) { scales[pair] = atomicLoad(&largest[0]) | (atomicLoad(&largest[1]) << 16u); }
    if (thread < ${PAIR / 32}u) { packed[pair * ${PAIR / 32}u + thread] = atomicLoad(&signs[thread]); }
    workgroupBarrier();
  }
}`;
