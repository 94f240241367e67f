// What this browser can lend, found out without loading TensorFlow.js or anything else heavy. Knows nothing of the volunteer.

export type Capabilities =
  /** A usable GPU. `software`: an adapter that is a processor in disguise, allowed by the coordinator's settings (tests). */
  | { readonly kind: "gpu"; readonly adapter: string; readonly software: boolean }
  /** No usable GPU, and why; the slower fallback can be offered. */
  | { readonly kind: "no-gpu"; readonly reason: NoGpuReason; readonly adapter: string | null };

/**
 * `insecure`: the page came over plain HTTP from another machine, so the browser hides WebGPU (HTTPS or localhost helps).
 * `no-webgpu`: the browser has no WebGPU. `no-adapter`: it has, but offers no GPU. `software-only`: only a processor in disguise.
 */
export type NoGpuReason = "insecure" | "no-webgpu" | "no-adapter" | "software-only";

interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
}
interface Gpu {
  requestAdapter(options?: {
    powerPreference?: string;
  }): Promise<{ readonly info?: AdapterInfo; readonly isFallbackAdapter?: boolean } | null>;
}
export interface CapabilityScope {
  readonly isSecureContext: boolean;
  readonly navigator: { readonly gpu?: Gpu };
}

/** SwiftShader, llvmpipe, WARP and the like render on the processor; some do not set `isFallbackAdapter`. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|microsoft basic render|warp/i;

/** Never rejects. `allowSoftwareGpu` comes from the coordinator's /api/info. */
export async function detectCapabilities(
  { allowSoftwareGpu = false }: { readonly allowSoftwareGpu?: boolean } = {},
  scope: CapabilityScope = globalThis as unknown as CapabilityScope,
): Promise<Capabilities> {
  if (!scope.isSecureContext) return { kind: "no-gpu", reason: "insecure", adapter: null };
  const gpu = scope.navigator.gpu;
  if (gpu === undefined) return { kind: "no-gpu", reason: "no-webgpu", adapter: null };
  try {
    const found = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (found === null) return { kind: "no-gpu", reason: "no-adapter", adapter: null };
    const info = found.info ?? {};
    const adapter = [info.description, info.vendor, info.architecture].find((text) => text !== undefined && text !== "") ?? "GPU";
    const words = [info.vendor, info.architecture, info.device, info.description].join(" ");
    const software = info.isFallbackAdapter === true || found.isFallbackAdapter === true || SOFTWARE.test(words);
    if (software && !allowSoftwareGpu) return { kind: "no-gpu", reason: "software-only", adapter };
    return { kind: "gpu", adapter, software };
  } catch {
    return { kind: "no-gpu", reason: "no-adapter", adapter: null };
  }
}
