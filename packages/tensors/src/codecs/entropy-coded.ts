// A codec whose bytes are entropy-coded where that saves a tenth: one byte says which form follows (0: as the codec writes them, 1: coded).
// Whatever is coded is first brought back to the codec's own bytes, whose length is known, so all of its checks stand.
import type { Codec, CodecRefusal, Encoded, LevelParts, PackedLevels } from "../codec.ts";
import { type Expand, expand as ownExpand } from "../entropy.ts";
import { fault } from "./faults.ts";

const WORTH = 0.9;
const PLAIN = 0;
const CODED = 1;

export interface EntropyForm {
  /** Of the codec's own bytes for `size` values. */
  code(bytes: Uint8Array, size: number): Uint8Array;
  /** Exactly as many bytes as the codec has for `size` values. */
  decode(coded: Uint8Array, size: number, expand: Expand): Encoded;
  /** Of packed levels: where they would lie in what `decode` gives, without putting them there. */
  parts?(coded: Uint8Array, size: number, expand: Expand): LevelParts;
}

export function entropyCoded(codec: Codec, form: EntropyForm): Codec {
  const { name, feedback } = codec;
  const mostBytes = (size: number): number => 1 + codec.mostBytes(size);
  const seal = (packed: Uint8Array, size: number): Uint8Array => {
    const coded = form.code(packed, size);
    const worth = coded.length < WORTH * packed.length;
    const chosen = worth ? coded : packed;
    const bytes = new Uint8Array(1 + chosen.length);
    bytes[0] = worth ? CODED : PLAIN;
    bytes.set(chosen, 1);
    return bytes;
  };
  const check = (bytes: Uint8Array, size: number): CodecRefusal | null => {
    if (bytes.length < 1 || bytes.length > mostBytes(size))
      return fault("wrong-length", `${name} of ${size} values takes 1 to ${mostBytes(size)} bytes, not ${bytes.length}`);
    return bytes[0] === PLAIN || bytes[0] === CODED ? null : fault("bad-payload", `${name} has no form ${bytes[0]}`);
  };
  /** The codec's own bytes, its own checks not yet made. */
  const unsealed = (bytes: Uint8Array, size: number, expand: Expand = ownExpand): Encoded => {
    const rest = bytes.subarray(1);
    return check(bytes, size) ?? (bytes[0] === PLAIN ? { ok: true, bytes: rest } : form.decode(rest, size, expand));
  };
  const levelsOf = ({ top, split, checkEnd }: PackedLevels): PackedLevels => ({
    top,
    checkEnd,
    split: (bytes, size, expand = ownExpand) => {
      if (bytes[0] === CODED && form.parts !== undefined) {
        const parts = check(bytes, size) ?? form.parts(bytes.subarray(1), size, expand);
        return parts.ok ? (checkEnd(parts.packed, size) ?? parts) : parts;
      }
      const packed = unsealed(bytes, size, expand);
      return packed.ok ? split(packed.bytes, size) : packed;
    },
  });
  return {
    name,
    bitsPerParameter: codec.bitsPerParameter,
    ...(feedback === undefined ? {} : { feedback }),
    mostBytes,
    leastBytes: () => 1,
    encode: (update, stream) => {
      const plain = codec.encode(update, stream);
      return plain.ok ? { ok: true, bytes: seal(plain.bytes, update.length) } : plain;
    },
    seal,
    ...(codec.packedLevels === undefined ? {} : { packedLevels: levelsOf(codec.packedLevels) }),
    open: (bytes, size) => {
      const packed = unsealed(bytes, size);
      return packed.ok ? codec.open(packed.bytes, size) : packed;
    },
  };
}
