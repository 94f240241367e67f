// Refusals that codecs share, as sentences with the numbers that explain them.
import type { CodecFault } from "../codec.ts";

export interface CodecRefusal {
  readonly ok: false;
  readonly fault: CodecFault;
  readonly detail: string;
}
export const fault = (kind: CodecFault, detail: string): CodecRefusal => ({ ok: false, fault: kind, detail });

export const wrongLength = (codec: string, found: number, wanted: number, size: number): CodecRefusal =>
  fault("wrong-length", `${codec} of ${size} values takes ${wanted} bytes, not ${found}`);
