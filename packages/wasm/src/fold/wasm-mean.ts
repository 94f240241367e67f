// The weighted mean of encoded updates, decoded and summed in WebAssembly SIMD a block of values at a time: the bits of @weft/training's
// `mean`, which stays the reference, in a fraction of its time. Knows no rule beside the mean and no TensorFlow.js.
import { type Codec, type CodecRefusal, DECODE_BLOCK, decode } from "@weft/tensors";
import { EXPANSION_BYTES, Expander, type Expanding, type ExpansionKernels, expandedBefore, expandLater } from "./expander.ts";
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
const WEIGHTS = SUMS + 8 * DECODE_BLOCK + 128;
const TABLES = WEIGHTS + 8 * MOST_GATHERED;
const TRITS = TABLES + 256 * MOST_GATHERED + 64;
const OUTPUT = TRITS + 243 * 8 + 40;
const EXPANSION = OUTPUT + 4 * DECODE_BLOCK;
/** A slot for each update that is gathered: its values or levels, as its codec packs them before they are unpacked, and its scales. */
const SLOTS = EXPANSION + EXPANSION_BYTES;
const PACKED = 4 * DECODE_BLOCK;
const SCALES = PACKED + DECODE_BLOCK + 64;
const STRIDE = SCALES + 64;
const PAGES = Math.ceil((SLOTS + MOST_GATHERED * STRIDE) / 65_536);
const QUANTISED_BLOCK = 256;

type Kernels = ExpansionKernels &
  Readonly<
    Record<
      "addValues" | "anyNotFinite" | "addTernary" | "addLevels" | "checkInt8" | "unpackInt4" | "unpackTernary" | "makeTrits" | "average",
      (...args: readonly number[]) => number
    >
  >;

/** Which kernel adds it. Those of one kind that follow each other are added together; of whole levels each alone. */
type Kind = "values" | "trits" | "levels";
interface Source {
  readonly kind: Kind;
  /** The largest level. */
  readonly top: number;
  /** Brings the values from `from` on, `length` of them, to the slot; true for what no encoder writes. */
  bring(from: number, length: number, slot: number): boolean;
}
type Opened = { readonly ok: true; readonly source: Source } | CodecRefusal;
interface Gathered {
  readonly update: EncodedUpdate;
  readonly weight: number;
  readonly open: () => Opened;
}

/** Rejects nothing: throws where the platform has no WebAssembly, or no SIMD in it. */
export function wasmMean(): MeanRule {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const kernels = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { env: { memory } }).exports as unknown as Kernels;
  kernels.makeTrits(TRITS);
  const heap = new Uint8Array(memory.buffer);
  const sums = new Float64Array(memory.buffer, SUMS, DECODE_BLOCK);
  const weights = new Float64Array(memory.buffer, WEIGHTS, MOST_GATHERED);
  const output = new Float32Array(memory.buffer, OUTPUT, DECODE_BLOCK);
  const expander = new Expander(kernels, memory, EXPANSION);

  /** By codec: brings levels, as signed bytes, to where the slot begins. */
  const unpackers: Readonly<Record<string, (packed: Uint8Array, from: number, length: number, slot: number) => boolean>> = {
    int8: (packed, from, length, slot) => {
      heap.set(packed.subarray(from, from + length), slot);
      return kernels.checkInt8(slot, length) !== 0;
    },
    int4: (packed, from, length, slot) => {
      heap.set(packed.subarray(from >> 1, (from + length + 1) >> 1), slot + PACKED);
      return kernels.unpackInt4(slot + PACKED, slot, length) !== 0;
    },
    ternary: (packed, from, length, slot) => {
      const first = Math.floor(from / 5);
      const end = Math.ceil((from + length) / 5);
      heap.set(packed.subarray(first, end), slot + PACKED);
      return kernels.unpackTernary(slot + PACKED, slot, end - first, TRITS) !== 0;
    },
  };
  /** Where the first level lies in its slot: what is packed together is unpacked together. */
  const levelsAt = (kind: Kind, from: number): number => SLOTS + (kind === "trits" ? from % 5 : 0);

  /** Sums the sources brought to the first slots, which are `some`; true where one of them may be what no encoder writes. */
  function add(kind: Kind, some: readonly Source[], from: number, length: number): boolean {
    switch (kind) {
      case "values":
        if (kernels.addValues(SLOTS, STRIDE, some.length, WEIGHTS, SUMS, length) === 0) return false;
        return some.some((_, slot) => kernels.anyNotFinite(SLOTS + slot * STRIDE, length) !== 0);
      case "trits":
        return kernels.addTernary(levelsAt(kind, from), SLOTS + SCALES, STRIDE, some.length, WEIGHTS, TABLES, SUMS, length) !== 0;
      case "levels":
        return some.some(
          ({ top }, slot) =>
            kernels.addLevels(
              levelsAt(kind, from) + slot * STRIDE,
              SLOTS + SCALES + slot * STRIDE,
              SUMS,
              length,
              weights[slot] as number,
              top,
            ) !== 0,
        );
      default:
        return kind satisfies never;
    }
  }

  function levelSource(codec: Codec, parts: { readonly scales: Uint8Array; readonly packed: Uint8Array }, top: number): Source {
    const unpack = unpackers[codec.name] as (typeof unpackers)[string];
    const { scales, packed } = parts;
    return {
      kind: codec.name === "ternary" ? "trits" : "levels",
      top,
      bring: (from, length, slot) => {
        const block = (2 * from) / QUANTISED_BLOCK;
        heap.set(scales.subarray(block, block + 2 * Math.ceil(length / QUANTISED_BLOCK)), slot + SCALES);
        return unpack(packed, from, length, slot);
      },
    };
  }

  /** How it is opened when it is folded; a refusal where that is known before. */
  function prepare({ codec, bytes }: EncodedUpdate, size: number, streams: Expanding[]): (() => Opened) | CodecRefusal {
    if (unpackers[codec.name] !== undefined && codec.packedLevels !== undefined) {
      const { top, split } = codec.packedLevels;
      const known = streams.length;
      const before = split(bytes, size, expandLater(streams));
      if (!before.ok) return before;
      const stream = streams[known];
      return () => {
        const parts = stream === undefined ? before : split(bytes, size, expandedBefore(stream));
        return parts.ok ? { ok: true, source: levelSource(codec, parts, top) } : parts;
      };
    }
    const opened = codec.open(bytes, size);
    if (!opened.ok) return opened;
    const source: Source = {
      kind: "values",
      top: 1,
      bring: (from, length, slot) => {
        if (codec.name !== "f32") return opened.reader.next(new Float32Array(memory.buffer, slot, length)) !== null;
        heap.set(bytes.subarray(4 * from, 4 * (from + length)), slot);
        return false;
      },
    };
    return () => ({ ok: true, source });
  }

  function start(size: number): Aggregation {
    let gathered: Gathered[] = [];
    let gatheredBytes = 0;
    let streams: Expanding[] = [];
    /** Of what was folded before; null: nothing was. */
    let before: Float64Array | null = null;
    let fault: CodecRefusal | null = null;
    let total = 0;
    const openAll = (): Source[] => {
      expander.run(streams);
      streams = [];
      const sources: Source[] = [];
      for (const { open } of gathered) {
        const opened = open();
        if (!opened.ok) {
          fault ??= opened;
          return [];
        }
        sources.push(opened.source);
      }
      return sources;
    };
    /** Folds what is gathered; `take` finds the block's sums in `sums`. */
    const fold = (take: (from: number, length: number) => void): void => {
      if (fault !== null) return;
      const sources = openAll();
      for (let from = 0; from < size && fault === null; from += DECODE_BLOCK) {
        const length = Math.min(DECODE_BLOCK, size - from);
        if (before === null) sums.fill(0, 0, length);
        else sums.set(before.subarray(from, from + length));
        for (let first = 0; first < sources.length && fault === null; ) {
          const { kind } = sources[first] as Source;
          let bad = false;
          let end = first;
          for (; end < sources.length && sources[end]?.kind === kind; end++) {
            bad ||= (sources[end] as Source).bring(from, length, SLOTS + (end - first) * STRIDE);
            weights[end - first] = (gathered[end] as Gathered).weight;
          }
          if (bad || add(kind, sources.slice(first, end), from, length)) fault = refusalOf(gathered.slice(first, end), size);
          first = end;
        }
        if (fault === null) take(from, length);
      }
      gathered = [];
      gatheredBytes = 0;
    };
    return {
      add: (update, weight) => {
        if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`${weight} is no weight`);
        if (gathered.length === MOST_GATHERED || (gathered.length > 0 && gatheredBytes + update.bytes.length > MOST_GATHERED_BYTES)) {
          const kept: Float64Array = before ?? new Float64Array(size);
          fold((from, length) => kept.set(sums.subarray(0, length), from));
          before = kept;
        }
        const open = prepare(update, size, streams);
        if (typeof open !== "function") return open;
        gathered.push({ update, open, weight });
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

/** Of the first that does not decode, in the words of its codec. */
function refusalOf(some: readonly Gathered[], size: number): CodecRefusal {
  for (const { update } of some) {
    const decoded = decode(update.codec, update.bytes, size);
    if (!decoded.ok) return decoded;
  }
  throw new Error("what the kernels refuse decodes");
}
