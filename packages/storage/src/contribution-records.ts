// The bytes of a segment of contributions. It begins with the magic "WFTC" and 16 random bytes. Record: magic "WREC", batch mark, SHA-256,
// length (u32), CRC-32 of the segment's random bytes and the header so far; then the bytes. The random bytes keep a contribution from holding
// something that looks like a header of its segment. Knows no files.
import type { Sha256 } from "@weft/protocol";
import { crc32, fromHex, hex } from "./checksum.ts";

export const SEGMENT_MAGIC = [0x57, 0x46, 0x54, 0x43];
export const RECORD_MAGIC = [0x57, 0x52, 0x45, 0x43];
export const SALT_BYTES = 16;
export const PREAMBLE_BYTES = 4 + SALT_BYTES;
export const HEADER_BYTES = 4 + 1 + 32 + 4 + 4;

export const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean => magic.every((byte, index) => bytes[index] === byte);
export const withSalt = (salt: Uint8Array, bytes: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(salt.length + bytes.length);
  joined.set(salt);
  joined.set(bytes, salt.length);
  return joined;
};
export const encodeHeader = (salt: Uint8Array, startsBatch: boolean, sha256: Sha256, sizeBytes: number): Uint8Array => {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(RECORD_MAGIC);
  header[4] = startsBatch ? 1 : 0;
  header.set(fromHex(sha256), 5);
  const view = new DataView(header.buffer);
  view.setUint32(37, sizeBytes, true);
  view.setUint32(41, crc32(withSalt(salt, header.subarray(0, 41))), true);
  return header;
};
export interface Header {
  readonly startsBatch: boolean;
  readonly sha256: Sha256;
  readonly sizeBytes: number;
}
export const decodeHeader = (salt: Uint8Array, bytes: Uint8Array): Header | null => {
  if (bytes.length < HEADER_BYTES || !startsWith(bytes, RECORD_MAGIC)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(41, true) !== crc32(withSalt(salt, bytes.subarray(0, 41)))) return null;
  return { startsBatch: bytes[4] === 1, sha256: hex(bytes.subarray(5, 37)), sizeBytes: view.getUint32(37, true) };
};
