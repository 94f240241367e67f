// Byte ranges of HTTP (RFC 9110 section 14): one range of a known length. Knows no files.

export type RangeChoice =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

/**
 * What a Range header asks of `sizeBytes` bytes; `end` is exclusive. A malformed header, another unit or several ranges mean
 * the whole, as the standard allows; a range that starts beyond the end cannot be satisfied.
 */
export function chooseRange(header: string | null, sizeBytes: number): RangeChoice {
  if (header === null) return { kind: "whole" };
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim());
  if (match === null) return { kind: "whole" };
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return { kind: "whole" };
  if (first === "") {
    const suffix = Number(last);
    if (suffix === 0 || sizeBytes === 0) return { kind: "unsatisfiable" };
    return { kind: "part", start: Math.max(0, sizeBytes - suffix), end: sizeBytes };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  if (start >= sizeBytes) return { kind: "unsatisfiable" };
  return { kind: "part", start, end: last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) };
}
