// Variants of kernels that not every device has: sums within subgroups, and products of factors in half precision. Says whether they are to
// be used now: where the device has them, they were not found wrong on it, and, for half precision, the computation asks. Knows no kernel.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";

/** Under these names they are struck and restored, as kernels are. */
export const SUBGROUPS = "Subgroups";
export const HALF = "HalfPrecision";
export type Variant = typeof SUBGROUPS | typeof HALF;
export const VARIANTS: readonly Variant[] = [SUBGROUPS, HALF];

const PRESENT = new WeakMap<WebGPUBackend, ReadonlySet<Variant>>();
const struck = new Set<Variant>();
let halfIsWanted = false;

/** Which of them `device` has. A subgroup's number within its workgroup is a part of the language that came later than subgroups; without
 *  it sums would rest on how a device deals threads to subgroups, which no standard says. */
export function variantsOf({ features }: GPUDevice, language: ReadonlySet<string>): ReadonlySet<Variant> {
  const present = new Set<Variant>();
  if (features.has("subgroups") && language.has("subgroup_id")) present.add(SUBGROUPS);
  if (features.has("shader-f16")) present.add(HALF);
  return present;
}

/** Once a backend. */
export function noteVariants(backend: WebGPUBackend, present: ReadonlySet<Variant>): void {
  PRESENT.set(backend, present);
}

const has = (backend: WebGPUBackend, variant: Variant): boolean => PRESENT.get(backend)?.has(variant) === true && !struck.has(variant);

export const usesSubgroups = (backend: WebGPUBackend): boolean => has(backend, SUBGROUPS);
export const canHalf = (backend: WebGPUBackend): boolean => has(backend, HALF);
/** Whether what is entered now is to hold the factors of its products in half precision. */
export const usesHalf = (backend: WebGPUBackend): boolean => halfIsWanted && canHalf(backend);

/** What `run` enters, which it does before it returns, is computed in this precision where the device can. */
export function inPrecision<T>(precision: "f32" | "f16", run: () => T): T {
  const before = halfIsWanted;
  halfIsWanted = precision === "f16";
  try {
    return run();
  } finally {
    halfIsWanted = before;
  }
}

export const isVariant = (name: string): name is Variant => (VARIANTS as readonly string[]).includes(name);
export function strikeVariant(variant: Variant): void {
  struck.add(variant);
}
export function restoreVariant(variant: Variant): void {
  struck.delete(variant);
}
