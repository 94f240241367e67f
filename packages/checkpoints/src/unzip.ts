// A zip reader for archives of strangers: bounded before anything is unpacked, no links, no paths beyond what the caller allows,
// no two entries on the same bytes, checksums compared. Format: PKWARE APPNOTE.TXT 6.3, sections 4.3 and 4.4. No zip64, no encryption.
import { Inflate } from "fflate";

export type Unzipped =
  | { readonly ok: true; readonly files: ReadonlyMap<string, Uint8Array> }
  | { readonly ok: false; readonly detail: string };

const MAX_ENTRIES = 64;
const MAX_NAME_BYTES = 256;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END = 0x06054b50;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
/** Deflate makes at most 1,032 bytes of one: a chunk of this size can overshoot a limit by 17 MB, no more. */
const INFLATE_CHUNK = 16_384;

class Refused extends Error {}
const bad = (detail: string): never => {
  throw new Refused(detail);
};

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = (CRC_TABLE[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly local: number;
}

function directory(archive: Uint8Array, view: DataView): Entry[] {
  let end = archive.length - END_BYTES;
  const lowest = Math.max(0, end - MAX_COMMENT_BYTES);
  while (end >= lowest && view.getUint32(end, true) !== END) end--;
  if (end < lowest) return bad("it is no zip archive");
  const count = view.getUint16(end + 10, true);
  if (count > MAX_ENTRIES) return bad(`it has ${count} entries; at most ${MAX_ENTRIES} are read`);
  if (view.getUint32(end + 4, true) !== 0 || view.getUint16(end + 8, true) !== count) return bad("it is a part of a divided archive");
  const entries: Entry[] = [];
  let at = view.getUint32(end + 16, true);
  for (let index = 0; index < count; index++) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) return bad("its directory is damaged");
    const nameBytes = view.getUint16(at + 28, true);
    if (nameBytes > MAX_NAME_BYTES || at + 46 + nameBytes > end) return bad("its directory is damaged");
    const name = new TextDecoder().decode(archive.subarray(at + 46, at + 46 + nameBytes));
    const shown = JSON.stringify(name);
    if ((view.getUint16(at + 8, true) & ENCRYPTED) !== 0) return bad(`${shown} is encrypted`);
    // Unix file type in the upper half of the external attributes: 0 (not said), a regular file, or a directory.
    const type = view.getUint16(at + 40, true) & 0o170000;
    if (type !== 0 && type !== 0o100000 && type !== 0o040000) return bad(`${shown} is a link or a special file`);
    entries.push({
      name,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      local: view.getUint32(at + 42, true),
    });
    at += 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return entries;
}

/** Where an entry's bytes lie; its local header must say the same name. */
function place(archive: Uint8Array, view: DataView, { name, packed, local }: Entry): { readonly from: number; readonly to: number } {
  const shown = JSON.stringify(name);
  if (local + 30 > archive.length || view.getUint32(local, true) !== LOCAL) return bad(`${shown} has no header`);
  const nameBytes = view.getUint16(local + 26, true);
  const from = local + 30 + nameBytes + view.getUint16(local + 28, true);
  const to = from + packed;
  if (to > archive.length) return bad(`${shown} reaches beyond the end`);
  if (new TextDecoder().decode(archive.subarray(local + 30, local + 30 + nameBytes)) !== name)
    return bad(`${shown} has another name in its header`);
  return { from, to };
}

function inflated(name: string, packed: Uint8Array, size: number): Uint8Array {
  const shown = JSON.stringify(name);
  const out = new Uint8Array(size);
  let reached = 0;
  const inflate = new Inflate((chunk) => {
    if (reached + chunk.length > size) bad(`${shown} unpacks to more than the ${size} bytes it claims`);
    out.set(chunk, reached);
    reached += chunk.length;
  });
  try {
    for (let at = 0; at < packed.length; at += INFLATE_CHUNK)
      inflate.push(packed.subarray(at, at + INFLATE_CHUNK), at + INFLATE_CHUNK >= packed.length);
  } catch (error) {
    if (error instanceof Refused) throw error;
    bad(`${shown} cannot be unpacked`);
  }
  if (reached !== size) bad(`${shown} unpacks to ${reached} bytes, not the ${size} it claims`);
  return out;
}

/**
 * Files by their full name in the archive. `limit` gives the bytes allowed for a name, or null for a name that may not be there;
 * it is asked before anything is unpacked. Entries of folders (empty, name ending in "/") are left out.
 */
export function unzip(archive: Uint8Array, limit: (name: string) => number | null): Unzipped {
  try {
    const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
    const entries = directory(archive, view).filter(({ name, size }) => !(name.endsWith("/") && size === 0));
    const spans: { readonly from: number; readonly to: number }[] = [];
    const names = new Set<string>();
    for (const entry of entries) {
      const allowed = limit(entry.name);
      if (allowed === null) bad(`${JSON.stringify(entry.name)} does not belong in it`);
      else if (entry.size > allowed) bad(`${JSON.stringify(entry.name)} claims ${entry.size} bytes; at most ${allowed} are read`);
      if (names.has(entry.name)) bad(`${JSON.stringify(entry.name)} is in it twice`);
      names.add(entry.name);
      if (entry.method !== STORED && entry.method !== DEFLATED) bad(`${JSON.stringify(entry.name)} is packed by method ${entry.method}`);
      if (entry.method === STORED && entry.packed !== entry.size) bad(`${JSON.stringify(entry.name)} has two sizes`);
      spans.push(place(archive, view, entry));
    }
    const sorted = spans.toSorted((a, b) => a.from - b.from);
    if (sorted.some(({ from }, index) => index > 0 && from < (sorted[index - 1]?.to ?? 0))) bad("two of its entries share bytes");
    const files = new Map<string, Uint8Array>();
    entries.forEach((entry, index) => {
      const { from, to } = spans[index] as { readonly from: number; readonly to: number };
      const packed = archive.subarray(from, to);
      const bytes = entry.method === STORED ? packed.slice() : inflated(entry.name, packed, entry.size);
      if (crc32(bytes) !== entry.crc) bad(`${JSON.stringify(entry.name)} does not match its checksum`);
      files.set(entry.name, bytes);
    });
    return { ok: true, files };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, detail: error.message };
    throw error;
  }
}
