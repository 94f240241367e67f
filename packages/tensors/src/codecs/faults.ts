// Refusals that codecs share, as sentences with the numbers that explain them.
import type { CodecFault, CodecRefusal } from "../codec.ts";
import { f16ToNumber } from "../f16.ts";

const INFINITE = 0x7c00;

export const fault = (kind: CodecFault, detail: string): CodecRefusal => ({ ok: false, fault: kind, detail });

export const wrongLength = (codec: string, found: number, wanted: number, size: number): CodecRefusal =>
  fault("wrong-length", `${codec} of ${size} values takes ${wanted} bytes, not ${found}`);

/** The scale of block `block`, an f16 little-endian at `at`: finite and not below zero. */
export function readScale(bytes: Uint8Array, at: number, block: number): number | CodecRefusal {
  const bits = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if ((bits & INFINITE) === INFINITE) return fault("not-finite", `the scale of block ${block} is NaN or infinite`);
  if ((bits & 0x8000) !== 0) return fault("bad-payload", `the scale of block ${block} is negative`);
  return f16ToNumber(bits);
}
