// One packed binary message: u32 little-endian header length, JSON header, payload. Socket.IO then carries one attachment a message.
// Knows nothing of what the header means.
import { MAX_FRAME_HEADER_BYTES } from "./limits.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export const encodeFrame = (header: unknown, payload: Uint8Array): Uint8Array<ArrayBuffer> => {
  const json = encoder.encode(JSON.stringify(header));
  if (json.length > MAX_FRAME_HEADER_BYTES) throw new RangeError(`frame header of ${json.length} bytes is over ${MAX_FRAME_HEADER_BYTES}`);
  const frame = new Uint8Array(4 + json.length + payload.length);
  new DataView(frame.buffer).setUint32(0, json.length, true);
  frame.set(json, 4);
  frame.set(payload, 4 + json.length);
  return frame;
};

/** The header as parsed JSON (still to be checked by its schema) and the payload as a view into `frame`; null for anything malformed. */
export const decodeFrame = (frame: Uint8Array): { readonly header: unknown; readonly payload: Uint8Array } | null => {
  if (frame.length < 4) return null;
  const headerBytes = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0, true);
  if (headerBytes > MAX_FRAME_HEADER_BYTES || 4 + headerBytes > frame.length) return null;
  try {
    return { header: JSON.parse(decoder.decode(frame.subarray(4, 4 + headerBytes))), payload: frame.subarray(4 + headerBytes) };
  } catch {
    return null;
  }
};
