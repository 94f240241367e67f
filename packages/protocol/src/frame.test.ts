import { describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame } from "./frame.ts";

describe("frame", () => {
  it("gives back header and payload, from an unaligned view too", () => {
    const frame = encodeFrame({ index: 3 }, Uint8Array.of(1, 2, 3));
    const pooled = new Uint8Array(frame.length + 74);
    pooled.set(frame, 74);
    const decoded = decodeFrame(pooled.subarray(74));
    expect(decoded?.header).toEqual({ index: 3 });
    expect([...(decoded?.payload ?? [])]).toEqual([1, 2, 3]);
  });
  it("refuses a frame that is cut, has a header that is too long, or is no JSON", () => {
    expect(decodeFrame(Uint8Array.of(1, 0))).toBeNull();
    expect(decodeFrame(Uint8Array.of(255, 255, 255, 255, 0))).toBeNull();
    expect(decodeFrame(Uint8Array.of(9, 0, 0, 0, 123))).toBeNull();
    expect(decodeFrame(Uint8Array.of(1, 0, 0, 0, 123))).toBeNull();
  });
});
