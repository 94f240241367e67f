// The weighted mean of encoded updates, decoded and summed in WebAssembly SIMD a block of values at a time: the bits of @weft/training's
// `mean`, which stays the reference, in a fraction of its time. Knows no rule beside the mean and no TensorFlow.js.
import { type Codec, type CodecRefusal, DECODE_BLOCK, decode, type Expand, expand, expansionOf, LAST_STATE } from "@weft/tensors";
import { moduleBytes } from "./module.ts";

interface EncodedUpdate {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
}
/** As @weft/training asks for it. Bytes must not change before `finish`; what does not decode may be said only there. */
interface Aggregation {
  add(update: EncodedUpdate, weight: number): CodecRefusal | null;
  finish(): { readonly ok: true; readonly aggregate: Float32Array | null } | CodecRefusal;
}
interface MeanRule {
  start(size: number): Aggregation;
}

/** Updates are gathered and folded together, since a pass over the sums costs as much as reading four of them: so many at most, and fewer
 *  where they are large. A round of any number of contributions needs the memory of these. */
const MOST_GATHERED = 8;
const MOST_GATHERED_BYTES = 384 * 2 ** 20;

/** Addresses, the sums of a block first; nothing lies at 0. Beyond what a block takes there is room for what the kernels read and write more. */
const SUMS = 1024;
const INPUT = SUMS + 8 * DECODE_BLOCK;
const LEVELS = INPUT + 4 * DECODE_BLOCK + 64;
const SCALES = LEVELS + DECODE_BLOCK + 64;
const TRITS = SCALES + 64;
const OUTPUT = TRITS + 243 * 8 + 40;
/** Of the entropy decoder, which takes so many symbols at once, of at most two bytes each. */
const SYMBOLS = 16_384;
const STATE = OUTPUT + 4 * DECODE_BLOCK;
const SLOTS = STATE + 16;
const STREAM = SLOTS + 4 * 4096;
const EXPANDED = STREAM + 2 * SYMBOLS + 16;
const PAGES = Math.ceil((EXPANDED + SYMBOLS) / 65_536);
const QUANTISED_BLOCK = 256;

type Kernels = Readonly<
  Record<
    "addValues" | "addLevels" | "checkInt8" | "unpackInt4" | "unpackTernary" | "makeTrits" | "expand" | "average",
    (...args: readonly number[]) => number
  >
>;

/** Adds `weight` times the values from `from` on, `length` of them, to the sums of the block; true for what no encoder writes. */
type Source = (from: number, length: number, weight: number) => boolean;
type Unpacked = (packed: Uint8Array, from: number, length: number) => { readonly bad: boolean; readonly levels: number };

/** Rejects nothing: throws where the platform has no WebAssembly, or no SIMD in it. */
export function wasmMean(): MeanRule {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const kernels = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { env: { memory } }).exports as unknown as Kernels;
  kernels.makeTrits(TRITS);
  const heap = new Uint8Array(memory.buffer);
  const sums = new Float64Array(memory.buffer, SUMS, DECODE_BLOCK);
  const input = new Float32Array(memory.buffer, INPUT, DECODE_BLOCK);
  const output = new Float32Array(memory.buffer, OUTPUT, DECODE_BLOCK);

  const state = new Uint32Array(memory.buffer, STATE, 1);
  const slots = new Uint32Array(memory.buffer, SLOTS, 4096);
  const fastExpand: Expand = (compressed, length) => {
    const begun = expansionOf(compressed);
    if (typeof begun === "string" || length === 0) return expand(compressed, length);
    slots.set(begun.slots);
    state[0] = begun.state;
    const bytes = new Uint8Array(length);
    let { at } = begun;
    for (let from = 0; from < length && at <= compressed.length; from += SYMBOLS) {
      const count = Math.min(SYMBOLS, length - from);
      heap.set(compressed.subarray(at, at + 2 * SYMBOLS + 2), STREAM);
      at += kernels.expand(SLOTS, STREAM, EXPANDED, count, STATE);
      bytes.set(heap.subarray(EXPANDED, EXPANDED + count), from);
    }
    // What does not end as it should is refused in the words of the reference.
    return state[0] === LAST_STATE && at === compressed.length ? { ok: true, bytes } : expand(compressed, length);
  };

  /** By codec: levels as signed bytes, and where they begin. */
  const unpackers: Readonly<Record<string, Unpacked>> = {
    int8: (packed, from, length) => {
      heap.set(packed.subarray(from, from + length), LEVELS);
      return { bad: kernels.checkInt8(LEVELS, length) !== 0, levels: LEVELS };
    },
    int4: (packed, from, length) => {
      heap.set(packed.subarray(from >> 1, (from + length + 1) >> 1), INPUT);
      return { bad: kernels.unpackInt4(INPUT, LEVELS, length) !== 0, levels: LEVELS };
    },
    ternary: (packed, from, length) => {
      const first = Math.floor(from / 5);
      const end = Math.ceil((from + length) / 5);
      heap.set(packed.subarray(first, end), INPUT);
      return { bad: kernels.unpackTernary(INPUT, LEVELS, end - first, TRITS) !== 0, levels: LEVELS + from - 5 * first };
    },
  };

  function sourceOf({ codec, bytes }: EncodedUpdate, size: number): { readonly ok: true; readonly source: Source } | CodecRefusal {
    const unpack = unpackers[codec.name];
    if (unpack !== undefined && codec.packedLevels !== undefined) {
      const { top, split } = codec.packedLevels;
      const parts = split(bytes, size, fastExpand);
      if (!parts.ok) return parts;
      const { scales, packed } = parts;
      const source: Source = (from, length, weight) => {
        const { bad, levels } = unpack(packed, from, length);
        const block = (2 * from) / QUANTISED_BLOCK;
        heap.set(scales.subarray(block, block + 2 * Math.ceil(length / QUANTISED_BLOCK)), SCALES);
        return bad || kernels.addLevels(levels, SCALES, SUMS, length, weight, top) !== 0;
      };
      return { ok: true, source };
    }
    const opened = codec.open(bytes, size);
    if (!opened.ok) return opened;
    const source: Source = (from, length, weight) => {
      if (codec.name === "f32") heap.set(bytes.subarray(4 * from, 4 * (from + length)), INPUT);
      else if (opened.reader.next(input.subarray(0, length)) !== null) return true;
      return kernels.addValues(INPUT, SUMS, length, weight) !== 0;
    };
    return { ok: true, source };
  }

  function start(size: number): Aggregation {
    let gathered: { readonly update: EncodedUpdate; readonly source: Source; readonly weight: number }[] = [];
    let gatheredBytes = 0;
    /** Of what was folded before; null: nothing was. */
    let before: Float64Array | null = null;
    let fault: CodecRefusal | null = null;
    let total = 0;
    /** Folds what is gathered; `take` finds the block's sums in `sums`. */
    const fold = (take: (from: number, length: number) => void): void => {
      for (let from = 0; from < size && fault === null; from += DECODE_BLOCK) {
        const length = Math.min(DECODE_BLOCK, size - from);
        if (before === null) sums.fill(0, 0, length);
        else sums.set(before.subarray(from, from + length));
        for (const { update, source, weight } of gathered)
          if (source(from, length, weight)) {
            fault = refusalOf(update, size);
            return;
          }
        take(from, length);
      }
      gathered = [];
      gatheredBytes = 0;
    };
    return {
      add: (update, weight) => {
        if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`${weight} is no weight`);
        const opened = sourceOf(update, size);
        if (!opened.ok) return opened;
        if (gathered.length === MOST_GATHERED || (gathered.length > 0 && gatheredBytes + update.bytes.length > MOST_GATHERED_BYTES)) {
          const kept: Float64Array = before ?? new Float64Array(size);
          fold((from, length) => kept.set(sums.subarray(0, length), from));
          before = kept;
        }
        gathered.push({ update, source: opened.source, weight });
        gatheredBytes += update.bytes.length;
        total += weight;
        return null;
      },
      finish: () => {
        if (fault !== null) return fault;
        if (total === 0) return { ok: true, aggregate: null };
        const aggregate = new Float32Array(size);
        fold((from, length) => {
          kernels.average(SUMS, OUTPUT, length, total);
          aggregate.set(output.subarray(0, length), from);
        });
        return fault ?? { ok: true, aggregate };
      },
    };
  }
  return { start };
}

/** In the words of the codec, which decodes it once more. */
function refusalOf({ codec, bytes }: EncodedUpdate, size: number): CodecRefusal {
  const decoded = decode(codec, bytes, size);
  if (decoded.ok) throw new Error(`what the kernels refuse of ${codec.name} decodes`);
  return decoded;
}
