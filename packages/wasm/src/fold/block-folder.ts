// What one thread does of a fold: brings the values of updates into a small memory of its own, a block at a time, and adds them there in
// WebAssembly SIMD, with the bits of @weft/training's `mean`. Any stretch of the values can be folded alone, and two stretches at once by two
// threads: how they are divided changes no bit. Knows no threads, and not where the updates came from.
import { type BlockReader, DECODE_BLOCK } from "@weft/tensors";
import { EXPANSION_BYTES, Expander, type Expanding, type ExpansionKernels } from "./expander.ts";
import { moduleBytes } from "./module.ts";

/** Updates are gathered and folded together, since a pass over the sums costs as much as reading four of them: so many at most. */
export const MOST_GATHERED = 8;

/** Values that are folded at once: long stretches, which memory gives faster than short ones, and yet the second cache holds those of all updates. */
export const FOLD_BLOCK = 4 * DECODE_BLOCK;

/** Addresses, the sums of a block first; nothing lies at 0. Beyond what a block takes there is room for what the kernels read and write more. */
const SUMS = 1024;
const WEIGHTS = SUMS + 8 * FOLD_BLOCK + 128;
const PRODUCTS = WEIGHTS + 8 * MOST_GATHERED;
const TRITS = PRODUCTS + 8 * MOST_GATHERED;
const OUTPUT = TRITS + 243 * 8 + 40;
const EXPANSION = OUTPUT + 4 * FOLD_BLOCK + 64;
const QUANTISED_BLOCK = 256;
/** A slot for each update that is gathered: its values or levels, as its codec packs them before they are unpacked, and its scales. */
const SLOTS = EXPANSION + EXPANSION_BYTES;
const PACKED = 4 * FOLD_BLOCK;
const SCALES = PACKED + FOLD_BLOCK + 64;
const STRIDE = SCALES + (2 * FOLD_BLOCK) / QUANTISED_BLOCK + 64;
const PAGES = Math.ceil((SLOTS + MOST_GATHERED * STRIDE) / 65_536);

type Kernels = ExpansionKernels &
  Readonly<
    Record<
      | "addValues"
      | "meanValues"
      | "anyNotFinite"
      | "addTernary"
      | "addLevels"
      | "checkInt8"
      | "unpackInt4"
      | "unpackTernary"
      | "makeTrits"
      | "average",
      (...args: readonly number[]) => number
    >
  >;

/** Packed levels that have a kernel. */
const LEVELS = ["int8", "int4", "ternary"] as const;
export type LevelName = (typeof LEVELS)[number];
export const isLevelName = (name: string): name is LevelName => (LEVELS as readonly string[]).includes(name);

/** An update as it is folded. All but `read` are bytes whose any part can be reached; that is decoded from the first value to the last. */
export type Source =
  | { readonly kind: "values"; readonly weight: number; readonly bytes: Uint8Array }
  | {
      readonly kind: "levels";
      readonly weight: number;
      readonly name: LevelName;
      /** The largest level. */
      readonly top: number;
      readonly scales: Uint8Array;
      readonly packed: Uint8Array;
    }
  | { readonly kind: "read"; readonly weight: number; readonly reader: BlockReader };

/** Sums of products in f64, value by value in the order of the sources; arrays as long as the values are. */
export interface Fold {
  /** At most MOST_GATHERED. */
  readonly sources: readonly Source[];
  readonly size: number;
  /** What the sums begin with; null: with nothing. */
  readonly before: Float64Array | null;
  /** Where the sums go, which may be `before`, or the sums divided by `total`, as f32. */
  readonly into:
    | { readonly kind: "sums"; readonly sums: Float64Array }
    | { readonly kind: "mean"; readonly mean: Float32Array; readonly total: number };
}

/** Which kernel adds it. Those of one kind that follow each other are added together; of whole levels each alone. */
type Kernel = "values" | "trits" | "levels";
const kernelOf = (source: Source): Kernel => (source.kind !== "levels" ? "values" : source.name === "ternary" ? "trits" : "levels");

export class BlockFolder {
  readonly #kernels: Kernels;
  readonly #heap: Uint8Array;
  readonly #sums: Float64Array;
  readonly #weights: Float64Array;
  readonly #output: Float32Array;
  readonly #expander: Expander;

  /** Throws where the platform has no WebAssembly, or no SIMD in it. */
  constructor() {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.#kernels = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { env: { memory } }).exports as unknown as Kernels;
    this.#kernels.makeTrits(TRITS);
    this.#heap = new Uint8Array(memory.buffer);
    this.#sums = new Float64Array(memory.buffer, SUMS, FOLD_BLOCK);
    this.#weights = new Float64Array(memory.buffer, WEIGHTS, MOST_GATHERED);
    this.#output = new Float32Array(memory.buffer, OUTPUT, FOLD_BLOCK);
    this.#expander = new Expander(this.#kernels, memory, EXPANSION);
  }

  /** As Expander has it. */
  expand(streams: readonly Expanding[]): void {
    this.#expander.run(streams);
  }

  /** Folds the values from `from`, a multiple of FOLD_BLOCK, up to `to`. False where an update may hold what no encoder writes: then nothing counts. */
  fold({ sources, size, before, into }: Fold, from: number, to: number): boolean {
    const kernels = sources.map(kernelOf);
    // What the most usual rounds are made of is not put down as sums on the way.
    const isMeanOfValues = into.kind === "mean" && before === null && kernels.every((kernel) => kernel === "values");
    for (let at = from; at < to; at += FOLD_BLOCK) {
      const length = Math.min(FOLD_BLOCK, size - at);
      if (isMeanOfValues) {
        if (this.#bringAll(sources, 0, sources.length, at, length)) return false;
        const notFinite = this.#kernels.meanValues(SLOTS, STRIDE, sources.length, WEIGHTS, OUTPUT, length, into.total);
        if (notFinite !== 0 && this.#anyNotFinite(sources.length, length)) return false;
      } else {
        if (before === null) this.#sums.fill(0, 0, length);
        else this.#sums.set(before.subarray(at, at + length));
        for (let first = 0; first < sources.length; ) {
          const kernel = kernels[first] as Kernel;
          let end = first + 1;
          while (kernels[end] === kernel) end++;
          if (this.#bringAll(sources, first, end, at, length) || this.#add(kernel, sources, first, end, at, length)) return false;
          first = end;
        }
        if (into.kind === "mean") this.#kernels.average(SUMS, OUTPUT, length, into.total);
      }
      if (into.kind === "sums") into.sums.set(this.#sums.subarray(0, length), at);
      else into.mean.set(this.#output.subarray(0, length), at);
    }
    return true;
  }

  /** To the first slots, with their weights; true for what no encoder writes. */
  #bringAll(sources: readonly Source[], first: number, end: number, from: number, length: number): boolean {
    for (let index = first; index < end; index++) {
      const source = sources[index] as Source;
      if (this.#bring(source, from, length, SLOTS + (index - first) * STRIDE)) return true;
      this.#weights[index - first] = source.weight;
    }
    return false;
  }

  #anyNotFinite(count: number, length: number): boolean {
    for (let slot = 0; slot < count; slot++) if (this.#kernels.anyNotFinite(SLOTS + slot * STRIDE, length) !== 0) return true;
    return false;
  }

  /** Values or levels to the slot; true for what no encoder writes. */
  #bring(source: Source, from: number, length: number, slot: number): boolean {
    switch (source.kind) {
      case "values":
        this.#heap.set(source.bytes.subarray(4 * from, 4 * (from + length)), slot);
        return false;
      case "read":
        for (let at = 0; at < length; at += DECODE_BLOCK) {
          const some = new Float32Array(this.#heap.buffer, slot + 4 * at, Math.min(DECODE_BLOCK, length - at));
          if (source.reader.next(some) !== null) return true;
        }
        return false;
      case "levels": {
        const { name, scales, packed } = source;
        const block = (2 * from) / QUANTISED_BLOCK;
        this.#heap.set(scales.subarray(block, block + 2 * Math.ceil(length / QUANTISED_BLOCK)), slot + SCALES);
        return this.#unpack(name, packed, from, length, slot);
      }
      default:
        return source satisfies never;
    }
  }

  /** Brings levels, as signed bytes, to where the slot begins. */
  #unpack(name: LevelName, packed: Uint8Array, from: number, length: number, slot: number): boolean {
    switch (name) {
      case "int8":
        this.#heap.set(packed.subarray(from, from + length), slot);
        return this.#kernels.checkInt8(slot, length) !== 0;
      case "int4":
        this.#heap.set(packed.subarray(from >> 1, (from + length + 1) >> 1), slot + PACKED);
        return this.#kernels.unpackInt4(slot + PACKED, slot, length) !== 0;
      case "ternary": {
        const first = Math.floor(from / 5);
        const end = Math.ceil((from + length) / 5);
        this.#heap.set(packed.subarray(first, end), slot + PACKED);
        return this.#kernels.unpackTernary(slot + PACKED, slot, end - first, TRITS) !== 0;
      }
      default:
        return name satisfies never;
    }
  }

  /** Sums the sources brought to the first slots; true where one of them may be what no encoder writes. */
  #add(kernel: Kernel, sources: readonly Source[], first: number, end: number, from: number, length: number): boolean {
    const kernels = this.#kernels;
    const count = end - first;
    switch (kernel) {
      case "values":
        // Sums may be beyond all numbers though the values are not.
        return kernels.addValues(SLOTS, STRIDE, count, WEIGHTS, SUMS, length) !== 0 && this.#anyNotFinite(count, length);
      case "trits":
        // What is packed together is unpacked together, so the first level may lie behind others.
        return kernels.addTernary(SLOTS + (from % 5), SLOTS + SCALES, STRIDE, count, WEIGHTS, PRODUCTS, SUMS, length) !== 0;
      case "levels":
        for (let slot = 0; slot < count; slot++) {
          const { top } = sources[first + slot] as Source & { readonly kind: "levels" };
          const [at, weight] = [SLOTS + slot * STRIDE, this.#weights[slot] as number];
          if (kernels.addLevels(at, at + SCALES, SUMS, length, weight, top) !== 0) return true;
        }
        return false;
      default:
        return kernel satisfies never;
    }
  }
}
