// The compiled kernels on a memory of their own, which grows when it must. Knows no tensors.
import { moduleBytes } from "./module.ts";

const FUNCTIONS = [
  "adamw",
  "add",
  "attention",
  "attentionGradient",
  "columnSums",
  "convolutionBlock",
  "convolutionBlockGradient",
  "crossEntropy",
  "crossEntropyGradient",
  "embedding",
  "embeddingGradient",
  "gelu",
  "geluGradient",
  "layerNorm",
  "layerNormGradient",
  "lstm",
  "lstmGradient",
  "matmul",
  "reluGradient",
  "sgd",
] as const;
export type KernelFunction = (typeof FUNCTIONS)[number];
/** Pointers, extents and switches, in the order of assembly/. */
export type Kernel = (...args: readonly number[]) => void;

/** The linear memory cannot grow by what a computation needs. */
export class WasmMemoryError extends Error {
  override readonly name = "WasmMemoryError";
}

const PAGE_BYTES = 65_536;
/** All that 32 bits can address. */
const MAX_PAGES = 65_536;

export interface Instance {
  readonly kernels: Readonly<Record<KernelFunction, Kernel>>;
  /** Bytes of working memory: of any product, and of what needs its own beside that. */
  readonly matmulScratchBytes: number;
  readonly attentionScratchBytes: (length: number) => number;
  readonly convolutionScratchBytes: (channels: number, outChannels: number, kernel: number, height: number, width: number) => number;
  readonly lstmScratchBytes: (rows: number, hidden: number) => number;
  /** Views of the memory as it is now: growing makes earlier ones empty. */
  f32(at: number, length: number): Float32Array<ArrayBuffer>;
  i32(at: number, length: number): Int32Array<ArrayBuffer>;
  /** Bytes that the memory has. */
  readonly sizeBytes: number;
  /** Address of so many bytes that nobody had before. Throws a WasmMemoryError where the memory cannot grow. */
  extend(sizeBytes: number): number;
}

/** Rejects where the platform has no WebAssembly or no SIMD in it, or its policy forbids it. */
export async function openInstance(): Promise<Instance> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES });
  const { instance } = await WebAssembly.instantiate(moduleBytes(), { env: { memory } });
  const exported = instance.exports as Record<string, Kernel>;
  const number = (name: string, ...args: number[]): number => (exported[name] as (...args: number[]) => number)(...args);
  // Nothing lies at 0, which stands for what is absent.
  let top = 16;
  return {
    kernels: Object.fromEntries(FUNCTIONS.map((name) => [name, exported[name]])) as Record<KernelFunction, Kernel>,
    matmulScratchBytes: number("matmulScratchBytes"),
    attentionScratchBytes: (length) => number("attentionScratchBytes", length),
    convolutionScratchBytes: (...extents) => number("convolutionScratchBytes", ...extents),
    lstmScratchBytes: (rows, hidden) => number("lstmScratchBytes", rows, hidden),
    f32: (at, length) => new Float32Array(memory.buffer, at, length),
    i32: (at, length) => new Int32Array(memory.buffer, at, length),
    get sizeBytes() {
      return memory.buffer.byteLength;
    },
    extend: (sizeBytes) => {
      const at = top;
      const pages = Math.ceil((at + sizeBytes) / PAGE_BYTES) - memory.buffer.byteLength / PAGE_BYTES;
      try {
        if (pages > 0) memory.grow(pages);
      } catch {
        throw new WasmMemoryError(`WebAssembly has no memory for ${sizeBytes} bytes more than ${at}`);
      }
      top = at + sizeBytes;
      return at;
    },
  };
}
