// SHA-256 and hexadecimal, synchronous, the same in browsers and Node. Knows nothing of what is hashed.
import { sha256 as digest } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Sha256 } from "@weft/protocol";

export const toHex = (bytes: Uint8Array): string => bytesToHex(bytes);
/** Throws on an odd length or a digit that is none. */
export const fromHex = (hex: string): Uint8Array => hexToBytes(hex);

/** SHA-256 of all parts, one after another, as 64 lower-case hexadecimal digits. For small things: big blobs belong to a native or worker hash. */
export const sha256 = (...parts: readonly Uint8Array[]): Sha256 => {
  const hash = digest.create();
  for (const part of parts) hash.update(part);
  return bytesToHex(hash.digest());
};

/** As `sha256`, of parts that come one after another. */
export const newSha256 = (): { update(part: Uint8Array): void; digest(): Sha256 } => {
  const hash = digest.create();
  return { update: (part) => void hash.update(part), digest: () => bytesToHex(hash.digest()) };
};
