// What is done to a value of the matrix product before it is stored: a bias by column, then an activation. WGSL text that the tilings share.
import type { Element, Kernel } from "../launch.ts";
import { type GeluKind, geluFunctions } from "./gelu.ts";

export type Activation = "none" | "relu" | `gelu-${GeluKind}`;

/** Bias, ReLU and which GELU it is are told by a uniform, so that one pipeline serves layers with and without, and a model's GELU that of
 *  the self-test; GELU, which also keeps what it was given for the backward pass, has pipelines of its own. */
export type Ending = "linear" | "gelu";
export const BIASED = 1;
const RECTIFIED = 2;
const BY_TANH = 4;

/** The GELU of an activation that is one. */
export const geluOf = (activation: Activation): GeluKind | null =>
  activation === "gelu-exact" ? "exact" : activation === "gelu-tanh" ? "tanh" : null;
export const endingOf = (activation: Activation): Ending => (geluOf(activation) === null ? "linear" : "gelu");
export const flagsOf = (hasBias: boolean, activation: Activation): number =>
  (hasBias ? BIASED : 0) + (activation === "relu" ? RECTIFIED : 0) + (activation === "gelu-tanh" ? BY_TANH : 0);

/** Results of a kernel with this ending, by name. */
export const outputsOf = (ending: Ending, element: Element): Kernel["outputs"] =>
  ending === "linear" ? { result: element } : { result: element, before: element };

const linear = `
fn finish(sum: vec4<f32>) -> vec4<f32> { return select(sum, max(sum, vec4<f32>()), (uniforms.epilogue & ${RECTIFIED}) != 0); }`;
const gelu = `${geluFunctions("exact", "Exact")}${geluFunctions("tanh", "Tanh")}
fn finish(sum: vec4<f32>) -> vec4<f32> {
  if ((uniforms.epilogue & ${BY_TANH}) != 0) { return sum * vec4<f32>(phiTanh(sum.x), phiTanh(sum.y), phiTanh(sum.z), phiTanh(sum.w)); }
  return sum * vec4<f32>(phiExact(sum.x), phiExact(sum.y), phiExact(sum.z), phiExact(sum.w));
}`;

/** `finish(sum)`: four values of a row, with their bias, through the activation. */
export const finishOf = (ending: Ending): string => (ending === "linear" ? linear : gelu);

/** The uniform by which the sums of packed factors are multiplied, behind all others. */
export const scaleOf = (factors: string): Kernel["uniforms"] => (factors === "f16" ? { scale: "f32" } : {});
