// What is done to a value of the matrix product before it is stored: a bias by column, then an activation. WGSL text that the tilings share.
import type { Element, Kernel } from "../launch.ts";
import { GELU_FUNCTIONS, type GeluKind } from "./gelu.ts";

export type Activation = "none" | "relu" | `gelu-${GeluKind}`;

/** Bias and ReLU are told by a uniform, so that one pipeline serves layers with and without; GELU, which also keeps what it was given for
 *  the backward pass, has pipelines of its own. */
export type Ending = "linear" | GeluKind;
export const BIASED = 1;
export const RECTIFIED = 2;

export const endingOf = (activation: Activation): Ending =>
  activation === "gelu-exact" ? "exact" : activation === "gelu-tanh" ? "tanh" : "linear";
export const flagsOf = (hasBias: boolean, activation: Activation): number =>
  (hasBias ? BIASED : 0) + (activation === "relu" ? RECTIFIED : 0);

/** Results of a kernel with this ending, by name. */
export const outputsOf = (ending: Ending, element: Element): Kernel["outputs"] =>
  ending === "linear" ? { result: element } : { result: element, before: element };

const linear = `
fn finish(sum: vec4<f32>) -> vec4<f32> { return select(sum, max(sum, vec4<f32>()), (uniforms.epilogue & ${RECTIFIED}) != 0); }`;
const gelu = (kind: GeluKind): string => `${GELU_FUNCTIONS[kind]}
fn finish(sum: vec4<f32>) -> vec4<f32> { return sum * vec4<f32>(phi(sum.x), phi(sum.y), phi(sum.z), phi(sum.w)); }`;

/** `finish(sum)`: four values of a row, with their bias, through the activation. */
export const finishOf = (ending: Ending): string => (ending === "linear" ? linear : gelu(ending));

/** The uniform by which the sums of packed factors are multiplied, behind all others. */
export const scaleOf = (factors: string): Kernel["uniforms"] => (factors === "f16" ? { scale: "f32" } : {});
