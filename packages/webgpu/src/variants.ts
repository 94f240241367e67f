// Variants of kernels that not every device has: sums within subgroups. Says whether they are to be used now: where the device has them, and
// they were not found wrong on it. Knows no kernel.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";

/** Under this name they are struck and restored, as kernels are. */
export const SUBGROUPS = "Subgroups";
export type Variant = typeof SUBGROUPS;
export const VARIANTS: readonly Variant[] = [SUBGROUPS];

const PRESENT = new WeakMap<WebGPUBackend, ReadonlySet<Variant>>();
const struck = new Set<Variant>();

/** Which of them `device` has. A subgroup's number within its workgroup is a part of the language that came later than subgroups; without
 *  it sums would rest on how a device deals threads to subgroups, which no standard says. */
export function variantsOf({ features }: GPUDevice, language: ReadonlySet<string>): ReadonlySet<Variant> {
  const present = new Set<Variant>();
  if (features.has("subgroups") && language.has("subgroup_id")) present.add(SUBGROUPS);
  return present;
}

/** Once a backend. */
export function noteVariants(backend: WebGPUBackend, present: ReadonlySet<Variant>): void {
  PRESENT.set(backend, present);
}

const has = (backend: WebGPUBackend, variant: Variant): boolean => PRESENT.get(backend)?.has(variant) === true && !struck.has(variant);

export const usesSubgroups = (backend: WebGPUBackend): boolean => has(backend, SUBGROUPS);
export const isVariant = (name: string): name is Variant => (VARIANTS as readonly string[]).includes(name);
export function strikeVariant(variant: Variant): void {
  struck.add(variant);
}
export function restoreVariant(variant: Variant): void {
  struck.delete(variant);
}
