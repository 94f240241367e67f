// Entropy-coded bytes of several updates brought back together, four streams a turn: a step of one stream waits for the step before it, those of
// different streams do not wait for each other. Knows no codecs; what the kernels do not end as they should is refused by the reference.
import { type Expand, type Expanded, type Expansion, expand, expansionOf, LAST_STATE } from "@weft/tensors";

export type ExpansionKernels = Readonly<Record<"expandFour", (lanes: number, count: number) => number>>;

const STREAMS = 4;
/** Symbols of a turn, each of at most two bytes in its stream. */
const SYMBOLS = 16_384;
const STREAM_BYTES = 2 * SYMBOLS + 16;
/** As assembly/fold.ts has it: of each stream its state and how many bytes were read; then what is its own, one stream after the other. */
const WORDS_BYTES = 64;
const TABLE_BYTES = 4096;
const SHAPES_BYTES = 4 * 256;
const LANE_BYTES = TABLE_BYTES + SHAPES_BYTES + STREAM_BYTES + SYMBOLS;
/** What it needs of a memory. */
export const EXPANSION_BYTES = WORDS_BYTES + STREAMS * LANE_BYTES;

/** A stream whose bytes are asked for, and come later. */
export interface Unexpanded {
  readonly compressed: Uint8Array;
  readonly begun: Expansion;
  /** Bytes that are to come. */
  readonly length: number;
}
/** With room for them; they come with `Expander.run`, in this thread or in another. */
export interface Expanding extends Unexpanded {
  readonly bytes: Uint8Array;
  /** How many bytes of `compressed` were read and the state after them: put there when all is done. */
  readonly ended: Uint32Array;
}

/** Notes in `streams` what it is asked for, and gives zeros in its place; or a refusal, where that is known already. */
export const expandLater =
  (streams: Unexpanded[]): Expand =>
  (compressed, length) => {
    const begun = expansionOf(compressed);
    if (typeof begun === "string" || length === 0) return expand(compressed, length);
    streams.push({ compressed, begun, length });
    return { ok: true, bytes: new Uint8Array(length) };
  };

/** To the same question, after `run`: the bytes that came, or why there are none. */
export const expandedBefore =
  ({ bytes, ended: [at, state], ...asked }: Expanding): Expand =>
  (compressed, length): Expanded =>
    state === LAST_STATE && at === asked.compressed.length ? { ok: true, bytes } : expand(compressed, length);

/** Streams that are expanded together: as many as go at once, of one length. */
export function expandedTogether(streams: readonly Expanding[]): Expanding[][] {
  const groups: Expanding[][] = [];
  for (const stream of streams) {
    const last = groups.at(-1);
    if (last !== undefined && last.length < STREAMS && last[0]?.length === stream.length) last.push(stream);
    else groups.push([stream]);
  }
  return groups;
}

export class Expander {
  readonly #kernels: ExpansionKernels;
  readonly #heap: Uint8Array;
  readonly #words: Uint32Array;
  readonly #begin: number;

  /** `begin` is a multiple of 4. */
  constructor(kernels: ExpansionKernels, memory: WebAssembly.Memory, begin: number) {
    this.#kernels = kernels;
    this.#heap = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#begin = begin;
  }

  /** A group of `expandedTogether`, in time in proportion to what was asked for, whatever the streams hold. */
  run(streams: readonly Expanding[]): void {
    const { length } = streams[0] as Expanding;
    const read = streams.map(({ begun }) => begun.at);
    // A lane too many does what the first does, and nobody asks for it.
    for (let lane = 0; lane < STREAMS; lane++) this.#begun(lane, streams[lane]?.begun ?? (streams[0] as Expanding).begun);
    for (let from = 0; from < length; from += SYMBOLS) {
      const count = Math.min(SYMBOLS, length - from);
      for (const [lane, { compressed }] of streams.entries()) {
        const at = read[lane] as number;
        this.#heap.set(compressed.subarray(at, at + 2 * SYMBOLS + 2), this.#laneAt(lane) + TABLE_BYTES + SHAPES_BYTES);
      }
      this.#kernels.expandFour(this.#begin, count);
      for (const [lane, { bytes }] of streams.entries()) {
        const symbolsAt = this.#laneAt(lane) + TABLE_BYTES + SHAPES_BYTES + STREAM_BYTES;
        bytes.set(this.#heap.subarray(symbolsAt, symbolsAt + count), from);
        read[lane] = (read[lane] as number) + (this.#words[this.#wordsAt(lane) + 1] as number);
      }
    }
    for (const [lane, { ended }] of streams.entries()) ended.set([read[lane] as number, this.#words[this.#wordsAt(lane)] as number]);
  }

  /** Two small tables instead of the one of slots, since those of four streams stay in the first cache. */
  #begun(lane: number, { slots, state }: Expansion): void {
    const tableAt = this.#laneAt(lane);
    const shapesAt = (tableAt + TABLE_BYTES) / 4;
    for (let slot = 0; slot < slots.length; slot++) {
      const word = slots[slot] as number;
      const symbol = word & 255;
      this.#heap[tableAt + slot] = symbol;
      this.#words[shapesAt + symbol] = (((word >>> 8) & 4095) + 1) | ((slot - (word >>> 20)) << 16);
    }
    this.#words[this.#wordsAt(lane)] = state;
  }

  #wordsAt(lane: number): number {
    return this.#begin / 4 + 2 * lane;
  }
  #laneAt(lane: number): number {
    return this.#begin + WORDS_BYTES + lane * LANE_BYTES;
  }
}
