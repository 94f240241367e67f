// Looks through an update: its length, its hash, its values. Takes the bytes in pieces, as they come, and holds none of them where they are the
// values themselves. Knows not where the bytes come from.
import { MAX_UPDATE_NORM, type Sha256 } from "@weft/protocol";
import { BlockNorm, type Codec, type CodecRefusal, DECODE_BLOCK, f32Into, squaredNorm } from "@weft/tensors";
import type { Inspection } from "./ports.ts";

/** SHA-256 of what it is given, one piece after another. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(): Sha256;
}

/** A room for a block of values, and the sum of their squares: the bits of @weft/tensors' `squaredNorm`. Inspectors may have one in common. */
export interface BlockSquares {
  /** DECODE_BLOCK values. */
  readonly room: Float32Array;
  /** Of the first `length` values in the room. */
  sum(length: number): number;
}
export function newSquares(): BlockSquares {
  const room = new Float32Array(DECODE_BLOCK);
  return { room, sum: (length) => squaredNorm(room.subarray(0, length)) };
}

const F32_BYTES = 4;
/** A piece: whole blocks of plain values. */
export const PIECE_BYTES = 64 * F32_BYTES * DECODE_BLOCK;

export class Inspector {
  readonly #codec: Codec;
  readonly #parameters: number;
  readonly #hasher: Hasher;
  readonly #norm: BlockNorm;
  readonly #squares: BlockSquares;
  #sizeBytes = 0;
  /** Of a codec that is read as a whole: all that came. */
  #whole: Uint8Array = new Uint8Array(0);
  #refused: CodecRefusal | null = null;

  constructor(codec: Codec, parameters: number, hasher: Hasher, squares: BlockSquares) {
    this.#codec = codec;
    this.#parameters = parameters;
    this.#hasher = hasher;
    this.#norm = new BlockNorm(parameters);
    this.#squares = squares;
  }

  /** Bytes that came. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Of a plain codec whole pieces and then the rest, or all at once; of others all at once. */
  add(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
    this.#sizeBytes += bytes.length;
    if (this.#codec.isPlain !== true) this.#whole = bytes;
    // Nothing is read that could not be in an update of this run.
    else if (this.#refused === null && this.#sizeBytes <= this.#codec.mostBytes(this.#parameters)) this.#readPlain(bytes);
  }

  /** Once, when all has come. Length first, then hash, then values: nothing that was not signed for is expanded, nor said to have a fault of its own. */
  finish(expected: Sha256): Inspection {
    const { name, leastBytes, mostBytes, isPlain } = this.#codec;
    if (this.#sizeBytes < leastBytes(this.#parameters) || this.#sizeBytes > mostBytes(this.#parameters))
      return {
        ok: false,
        code: "wrong-length",
        detail: `${this.#sizeBytes} bytes came, which no ${name} of ${this.#parameters} values has`,
      };
    if (this.#hasher.digest() !== expected)
      return { ok: false, code: "wrong-hash", detail: "the bytes do not have the hash that was signed" };
    if (isPlain !== true) this.#readWhole();
    if (this.#refused !== null) return { ok: false, code: this.#refused.fault, detail: this.#refused.detail };
    const size = Math.fround(this.#norm.value());
    if (size > MAX_UPDATE_NORM)
      return {
        ok: false,
        code: "norm-outlier",
        detail: `the update's norm is ${size.toExponential(1)}, at most ${MAX_UPDATE_NORM} is taken`,
      };
    return { ok: true, norm: size };
  }

  /** A block at a time, so that the update is never dense beside its bytes. */
  #readWhole(): void {
    const opened = this.#codec.open(this.#whole, this.#parameters);
    if (!opened.ok) {
      this.#refused = opened;
      return;
    }
    for (let from = 0; from < this.#parameters && this.#refused === null; from += DECODE_BLOCK) {
      const block = this.#squares.room.subarray(0, Math.min(DECODE_BLOCK, this.#parameters - from));
      this.#refused = opened.reader.next(block);
      if (this.#refused === null) this.#norm.add(block, this.#squares.sum(block.length));
    }
  }

  /** Bytes at the end that are no whole value make a wrong length. */
  #readPlain(bytes: Uint8Array): void {
    const values = Math.floor(bytes.length / F32_BYTES);
    for (let from = 0; from < values && this.#refused === null; from += DECODE_BLOCK) {
      const block = this.#squares.room.subarray(0, Math.min(DECODE_BLOCK, values - from));
      const raw = bytes.subarray(F32_BYTES * from, F32_BYTES * (from + block.length));
      f32Into(block, raw);
      if (!this.#norm.add(block, this.#squares.sum(block.length))) this.#refused = this.#refusalOf(raw, block);
    }
  }

  /** In the words of its codec. */
  #refusalOf(raw: Uint8Array, block: Float32Array): CodecRefusal {
    const opened = this.#codec.open(raw, block.length);
    const refused = opened.ok ? opened.reader.next(block) : opened;
    if (refused === null) throw new Error(`${this.#codec.name} takes values that are not finite`);
    return refused;
  }
}
