// CRC-32 (ISO-HDLC, as in gzip and PNG: reflected polynomial 0xEDB88320) and SHA-256 as hexadecimal. Knows nothing of what is summed.
import type { Sha256 } from "@weft/protocol";

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

export const crc32 = (bytes: Uint8Array): number => {
  let crc = 0xffff_ffff;
  for (let index = 0; index < bytes.length; index++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[index] ?? 0)) & 255] ?? 0);
  return (crc ^ 0xffff_ffff) >>> 0;
};

export const hex = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
};

export const fromHex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: text.length / 2 }, (_, index) => Number.parseInt(text.slice(2 * index, 2 * index + 2), 16));

/** SHA-256 of bytes as 64 lower-case hexadecimal digits. */
export type HashBytes = (bytes: Uint8Array) => Promise<Sha256>;

/** Through WebCrypto, which hashes off the event loop. */
export const sha256: HashBytes = async (bytes) => {
  const own = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", own)));
};
