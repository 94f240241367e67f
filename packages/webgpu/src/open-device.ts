// Opens a GPUDevice of our own: a real adapter (or a software one, where that is allowed), the limits and features our kernels want, and
// word of its loss. Knows no TensorFlow.js.

import { type Variant, variantsOf } from "./variants.ts";

export interface OpenDeviceOptions {
  readonly gpu: GPU;
  /** A software adapter proves correctness, not speed; without this it counts as none. */
  readonly allowSoftware: boolean;
}
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** For people: what the platform says of the adapter, at most 120 characters. */
  readonly description: string;
  readonly software: boolean;
  /** Variants of kernels that it has. */
  readonly variants: ReadonlySet<Variant>;
  /** Resolves when the device is gone, with the reason; never rejects. `destroyed` means that we closed it. */
  readonly lost: Promise<{ readonly reason: "destroyed" | "unknown"; readonly message: string }>;
}
export type OpenDeviceResult =
  | { readonly ok: true; readonly value: OpenedDevice }
  | { readonly ok: false; readonly code: "no-adapter" | "software-adapter" | "no-device"; readonly message: string };

/** Features that kernels use where they are present. */
const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;
/** The defaults of WebGPU are those of the weakest device; what this one has must be asked for. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupSizeX",
  "maxComputeInvocationsPerWorkgroup",
] as const;

const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|basic render/i;

const isSoftware = (info: GPUAdapterInfo): boolean =>
  info.isFallbackAdapter || SOFTWARE_NAMES.test(`${info.architecture} ${info.device} ${info.description}`);

function describe(info: GPUAdapterInfo): string {
  const words = info.description === "" ? [info.vendor, info.architecture, info.device].filter((word) => word !== "") : [info.description];
  return (words.join(" ") || "unnamed adapter").slice(0, 120);
}

/** The fast adapter's device. A refusal says why there is none; it never throws for what a machine may lack. */
export async function openDevice({ gpu, allowSoftware }: OpenDeviceOptions): Promise<OpenDeviceResult> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) return { ok: false, code: "no-adapter", message: "WebGPU is there, but offers no adapter" };
  const { info, features, limits } = adapter;
  const software = isSoftware(info);
  if (software && !allowSoftware)
    return { ok: false, code: "software-adapter", message: `The only WebGPU adapter is software: ${describe(info)}` };
  try {
    const device = await adapter.requestDevice({
      requiredFeatures: WANTED_FEATURES.filter((feature) => features.has(feature)),
      requiredLimits: Object.fromEntries(WANTED_LIMITS.map((limit) => [limit, limits[limit]])),
    });
    // Older browsers name no features of the language.
    const variants = variantsOf(device, (gpu.wgslLanguageFeatures as WGSLLanguageFeatures | undefined) ?? new Set());
    return { ok: true, value: { device, info, description: describe(info), software, variants, lost: device.lost } };
  } catch (error) {
    return {
      ok: false,
      code: "no-device",
      message: `The adapter gave no device: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}
