// WGSL of f16 in integers, by the bits of an f32, step by step as packages/tensors/src/f16.ts: the same bits on every device.

/** `f16RoundedUp(magnitude)` and `f16Nearest(magnitude)`: infinity (0x7c00) beyond the range; `f16Value(bits)`: its exact f32. */
export const F16 = `
struct Cut { bits: u32, lost: u32, half: u32 }
/** Towards zero, and what that lost and what were half a step. For magnitudes below 2^16. */
fn cutToF16(magnitude: u32) -> Cut {
  let exponent = magnitude >> 23u;
  if (exponent >= 113u) { return Cut((magnitude >> 13u) - (112u << 10u), magnitude & 0x1fffu, 0x1000u); }
  let fraction = select((magnitude & 0x7fffffu) | 0x800000u, magnitude, exponent == 0u);
  let shift = 126u - max(exponent, 1u);
  if (shift > 25u) { return Cut(0u, select(1u, 0u, fraction == 0u), 2u); }
  return Cut(fraction >> shift, fraction & ((1u << shift) - 1u), 1u << (shift - 1u));
}
fn f16RoundedUp(magnitude: u32) -> u32 {
  if (magnitude > 0x477fe000u) { return 0x7c00u; }
  let cut = cutToF16(magnitude);
  return cut.bits + select(0u, 1u, cut.lost > 0u);
}
fn f16Nearest(magnitude: u32) -> u32 {
  if (magnitude >= 0x477ff000u) { return 0x7c00u; }
  let cut = cutToF16(magnitude);
  let up = cut.lost > cut.half || (cut.lost == cut.half && (cut.bits & 1u) == 1u);
  return cut.bits + select(0u, 1u, up);
}
fn f16Value(bits: u32) -> f32 {
  if ((bits >> 10u) == 0u) { return f32(bits) * ${2 ** -24}; }
  return bitcast<f32>((bits << 13u) + (112u << 23u));
}`;
