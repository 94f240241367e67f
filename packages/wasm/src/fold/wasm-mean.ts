// The weighted mean of encoded updates, decoded and summed in WebAssembly SIMD (block-folder.ts), where they are large by several threads on
// shared memory (fold-threads.ts): the bits of @weft/training's `mean`, which stays the reference, in a fraction of its time. Knows no rule
// beside the mean and no TensorFlow.js.
import { type Codec, type CodecRefusal, decode } from "@weft/tensors";
import { BlockFolder, type Fold, isLevelName, MOST_GATHERED, type Source } from "./block-folder.ts";
import { type Expanding, expandedBefore, expandedTogether, expandLater, type Unexpanded } from "./expander.ts";
import { type FoldThreadOptions, FoldThreads, FoldThreadsLostError } from "./fold-threads.ts";

export { type BlockSquares, wasmSquares } from "./block-squares.ts";
export { type FoldMessage, type FoldThreadOptions, foldThread } from "./fold-threads.ts";

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

const MOST_F32 = (2 - 2 ** -23) * 2 ** 127;
/** Fewer are gathered where they are large. A round of any number of contributions needs the memory of these. */
const MOST_GATHERED_BYTES = 384 * 2 ** 20;
/** Of updates on memory of one thread, so many are enough where they come to more than so many bytes: four gain nearly all there is to gain. */
const ENOUGH = 4;
const ENOUGH_BYTES = 16 * 2 ** 20;

const isShared = ({ buffer }: ArrayBufferView): boolean => typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;

type Opened = { readonly ok: true; readonly source: Source } | CodecRefusal;
interface Gathered {
  readonly update: EncodedUpdate;
  /** Where its bytes are entropy-coded. */
  readonly stream: Unexpanded | null;
  /** Whether several threads can fold it. */
  readonly isDivisible: boolean;
  open(expanded: Expanding | null): Opened;
}

/** How an update is opened when it is folded; a refusal where that is known before. */
function prepare(update: EncodedUpdate, weight: number, size: number): Gathered | CodecRefusal {
  const { codec, bytes } = update;
  const isDivisible = isShared(bytes);
  // The kernels of levels multiply the weight and a scale first, which must be finite.
  if (isLevelName(codec.name) && codec.packedLevels !== undefined && weight <= MOST_F32) {
    const { name } = codec;
    const { top, split } = codec.packedLevels;
    const streams: Unexpanded[] = [];
    const before = split(bytes, size, expandLater(streams));
    if (!before.ok) return before;
    const open = (expanded: Expanding | null): Opened => {
      const parts = expanded === null ? before : split(bytes, size, expandedBefore(expanded));
      return parts.ok ? { ok: true, source: { kind: "levels", weight, name, top, scales: parts.scales, packed: parts.packed } } : parts;
    };
    return { update, stream: streams[0] ?? null, isDivisible, open };
  }
  const opened = codec.open(bytes, size);
  if (!opened.ok) return opened;
  const isPlain = codec.name === "f32";
  const source: Source = isPlain ? { kind: "values", weight, bytes } : { kind: "read", weight, reader: opened.reader };
  return { update, stream: null, isDivisible: isDivisible && isPlain, open: () => ({ ok: true, source }) };
}

/** Who folds: one thread, or several. Both give the same bits. */
interface Crew {
  /** For what is made on the way, and what comes of it. */
  readonly room: (sizeBytes: number) => ArrayBufferLike;
  expand(groups: readonly (readonly Expanding[])[]): void;
  /** As BlockFolder's. */
  fold(fold: Fold): boolean;
}

/**
 * Large folds of updates that lie on shared memory are divided among `threads`, where they are given; then an aggregate lies there too. `onFolded`
 * hears each time so many bytes of updates are of no more use. Throws as BlockFolder does.
 */
export function wasmMean(threads?: FoldThreadOptions, onFolded: (bytes: number) => void = () => undefined): MeanRule {
  const folder = new BlockFolder();
  const others = threads === undefined ? null : new FoldThreads(threads, folder);
  const alone: Crew = {
    room: (sizeBytes) => new ArrayBuffer(sizeBytes),
    expand: (groups) => {
      for (const group of groups) folder.expand(group);
    },
    fold: (fold) => folder.fold(fold, 0, fold.size),
  };
  const together: Crew | null = others && {
    room: (sizeBytes) => new SharedArrayBuffer(sizeBytes),
    expand: (groups) => {
      if (groups.length > 0) others.together({ kind: "expand", groups });
    },
    fold: (fold) => others.together({ kind: "fold", fold }),
  };

  function start(size: number): Aggregation {
    let gathered: Gathered[] = [];
    let gatheredBytes = 0;
    /** Of what was folded before; null: nothing was. */
    let before: Float64Array | null = null;
    let fault: CodecRefusal | null = null;
    let total = 0;

    const isFull = (more: Uint8Array): boolean => {
      const bytes = gatheredBytes + more.length;
      if (gathered.length === MOST_GATHERED || (gathered.length > 0 && bytes > MOST_GATHERED_BYTES)) return true;
      return gathered.length >= ENOUGH && bytes > ENOUGH_BYTES && !isShared(more);
    };
    const foldBy = (crew: Crew, into: (crew: Crew) => Fold["into"]): Fold["into"] | CodecRefusal => {
      const { room, expand } = crew;
      const expanding = gathered.map(({ stream }): Expanding | null =>
        stream === null ? null : { ...stream, bytes: new Uint8Array(room(stream.length)), ended: new Uint32Array(room(8)) },
      );
      expand(expandedTogether(expanding.filter((stream) => stream !== null)));
      const opened = gathered.map(({ open }, index) => open(expanding[index] ?? null));
      const sources = opened.flatMap((each) => (each.ok ? [each.source] : []));
      const result = into(crew);
      if (sources.length < opened.length || !crew.fold({ sources, size, before, into: result })) return refusalOf(gathered, size);
      return result;
    };
    /** Folds what is gathered; gives where it went, or null where there is a fault. */
    const fold = (into: (crew: Crew) => Fold["into"]): Fold["into"] | null => {
      if (fault !== null) return null;
      const isDivisible = gathered.every((each) => each.isDivisible) && (before === null || isShared(before));
      const crew = together !== null && isDivisible && others?.isFor(size * gathered.length) ? together : alone;
      let result: ReturnType<typeof foldBy>;
      try {
        result = foldBy(crew, into);
      } catch (error) {
        if (crew === alone || !(error instanceof FoldThreadsLostError)) throw error;
        // On memory of its own: a thread that was lost may still write.
        result = foldBy(alone, into);
      }
      const foldedBytes = gatheredBytes;
      gathered = [];
      gatheredBytes = 0;
      onFolded(foldedBytes);
      if ("ok" in result) fault = result;
      return "ok" in result ? null : result;
    };
    return {
      add: (update, weight) => {
        if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw new RangeError(`${weight} is no weight`);
        if (isFull(update.bytes)) {
          // Several threads do not write where they read: what one that is lost has written would count twice.
          const kept = fold((crew) => ({
            kind: "sums",
            sums: crew === alone && before !== null ? before : new Float64Array(crew.room(8 * size)),
          }));
          if (kept?.kind === "sums") before = kept.sums;
        }
        const prepared = prepare(update, weight, size);
        if ("ok" in prepared) return prepared;
        gathered.push(prepared);
        gatheredBytes += update.bytes.length;
        total += weight;
        return null;
      },
      finish: () => {
        if (fault !== null) return fault;
        if (total === 0) return { ok: true, aggregate: null };
        const result = fold(({ room }) => ({ kind: "mean", mean: new Float32Array(room(4 * size)), total }));
        return result?.kind === "mean" ? { ok: true, aggregate: result.mean } : (fault as unknown as CodecRefusal);
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
