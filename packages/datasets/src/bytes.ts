// SHA-256 and gzip through the platform (WebCrypto, DecompressionStream), with bounds. Knows no data set.
import type { Sha256 } from "@weft/protocol";
import { DatasetFault } from "./fault.ts";

export const sha256 = async (bytes: Uint8Array): Promise<Sha256> => {
  const own = bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", own));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

/** A file as it was found; `name` is how errors and the manifest call it. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Unpacked data larger than this is refused: 1 GiB is 16 times the largest data set with a recipe here, and fits in memory twice. */
export const MAX_UNPACKED_BYTES = 1024 ** 3;

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Unpacks gzip; refuses what is truncated, corrupt, or longer than `maxBytes` when unpacked. */
export const gunzip = async ({ name, bytes }: NamedBytes, maxBytes = MAX_UNPACKED_BYTES): Promise<Uint8Array<ArrayBuffer>> => {
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      controller.enqueue(bytes.slice());
      controller.close();
    },
  });
  const reader = source.pipeThrough(new DecompressionStream("gzip")).getReader();
  const parts: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    let next: ReadableStreamReadResult<Uint8Array>;
    try {
      next = await reader.read();
    } catch {
      throw new DatasetFault(`${name}: the gzip data is truncated or corrupt (${bytes.length} bytes).`);
    }
    if (next.done) break;
    total += next.value.length;
    if (total > maxBytes) {
      await reader.cancel().catch(() => undefined);
      throw new DatasetFault(`${name}: unpacks to more than ${maxBytes} bytes.`);
    }
    parts.push(next.value);
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

/** Unpacks what begins like gzip, and gives anything else as it is. */
export const unpacked = async (file: NamedBytes, maxBytes = MAX_UNPACKED_BYTES): Promise<Uint8Array> => {
  if (isGzip(file.bytes)) return gunzip(file, maxBytes);
  if (file.bytes.length > maxBytes) throw new DatasetFault(`${file.name}: is longer than ${maxBytes} bytes.`);
  return file.bytes;
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
/** UTF-8 as text, without a byte-order mark; an invalid sequence is refused with its line. */
export const textOf = ({ name, bytes }: NamedBytes): string => {
  try {
    return utf8.decode(bytes);
  } catch {
    const lenient = new TextDecoder().decode(bytes);
    const line = lenient.slice(0, Math.max(0, lenient.indexOf("\ufffd"))).split("\n").length;
    throw new DatasetFault(`${name}, line ${line}: not valid UTF-8. Convert the file to UTF-8 first.`);
  }
};
