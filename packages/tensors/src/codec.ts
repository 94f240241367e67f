// How an update is encoded: the interface that every codec implements. One file a codec beside this one; `codecs` in codecs.ts lists them.

export type CodecFault = "wrong-length" | "not-finite" | "bad-payload";
export type Decoded =
  | { readonly ok: true; readonly update: Float32Array }
  | { readonly ok: false; readonly fault: CodecFault; readonly detail: string };

/** Names the random numbers of one encoding: the run's seed and the lease, so that both sides can draw them again. */
export interface CodecStream {
  readonly seed: number;
  readonly lease: number;
}

export interface Codec {
  readonly name: string;
  /** Bits a parameter takes at most, for docs and choice. */
  readonly bitsPerParameter: number;
  /** Bounds on the encoded length of `size` values; equal where a codec always takes as many. */
  leastBytes(size: number): number;
  mostBytes(size: number): number;
  /** Fails (not-finite) on NaN, infinity or, for scaled codecs, a block beyond f16. */
  encode(
    update: Float32Array,
    stream: CodecStream,
  ): { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly fault: CodecFault; readonly detail: string };
  /** `bytes` may be an unaligned view. Refuses a wrong length before any arithmetic. */
  decode(bytes: Uint8Array, size: number): Decoded;
}
