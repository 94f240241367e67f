// How an update is encoded: the interface that every codec implements. One file a codec under codecs/; `codecs` in codecs.ts lists them.

import type { Expand } from "./entropy.ts";

export type CodecFault = "wrong-length" | "not-finite" | "bad-payload";
export interface CodecRefusal {
  readonly ok: false;
  readonly fault: CodecFault;
  readonly detail: string;
}
export type Decoded = { readonly ok: true; readonly update: Float32Array } | CodecRefusal;
export type Encoded = { readonly ok: true; readonly bytes: Uint8Array } | CodecRefusal;

/** Names the random numbers of one encoding: the run's seed and the lease, so that both sides can draw them again. */
export interface CodecStream {
  readonly seed: number;
  readonly lease: number;
}

/** Values that are decoded at once; every block but the last is whole. */
export const DECODE_BLOCK = 4096;

/** Decodes from the first value to the last, a block at a time, so that many updates can be folded without a dense copy of any. */
export interface BlockReader {
  /** Fills `into`, which must be as long as the next block; null, or why the bytes are none of this codec's. */
  next(into: Float32Array): CodecRefusal | null;
}

/** Where whole levels and their scales lie in a codec's bytes, for who decodes them faster than `open` does. */
export interface PackedLevels {
  /** Levels are from -top to top; a value is level * scale / top. */
  readonly top: number;
  /**
   * One f16 little-endian for each 256 values, and the levels as the codec packs them. Checks neither; refuses all else that `open` refuses.
   * `expand`: an entropy decoder that is faster than ours and gives the same.
   */
  split(bytes: Uint8Array, size: number, expand?: Expand): LevelParts;
  /** What no encoder writes after the last of `size` levels; `split` refuses it too. */
  checkEnd(packed: Uint8Array, size: number): CodecRefusal | null;
}
export type LevelParts = { readonly ok: true; readonly scales: Uint8Array; readonly packed: Uint8Array } | CodecRefusal;

export interface Codec {
  readonly name: string;
  /** Bits a parameter takes at most, for docs and choice. */
  readonly bitsPerParameter: number;
  /** Its bytes are the values themselves, f32 little-endian, of which any part can be read alone; it refuses nothing but values that are not finite. */
  readonly isPlain?: true;
  /** Only of a biased codec, which needs error feedback (see error-feedback.ts): by what its residual is multiplied before each update. */
  readonly feedback?: number;
  /** Bounds on the encoded length of `size` values; equal where a codec always takes as many. */
  leastBytes(size: number): number;
  mostBytes(size: number): number;
  /** Fails (not-finite) on NaN, infinity or, for scaled codecs, a block beyond f16. */
  encode(update: Float32Array, stream: CodecStream): Encoded;
  /** What `encode` gives, from its scales and levels as somebody else has packed them: a GPU, say. Absent: as they are. */
  seal?(packed: Uint8Array, size: number): Uint8Array;
  readonly packedLevels?: PackedLevels;
  /** `bytes` may be an unaligned view, and is not changed. Refuses a wrong length before any arithmetic. */
  open(bytes: Uint8Array, size: number): { readonly ok: true; readonly reader: BlockReader } | CodecRefusal;
}

/** The whole update at once. */
export function decode(codec: Codec, bytes: Uint8Array, size: number): Decoded {
  const opened = codec.open(bytes, size);
  if (!opened.ok) return opened;
  const update = new Float32Array(size);
  for (let from = 0; from < size; from += DECODE_BLOCK) {
    const refused = opened.reader.next(update.subarray(from, from + DECODE_BLOCK));
    if (refused !== null) return refused;
  }
  return { ok: true, update };
}
