// Makes zip archives as an attacker would: any field can be a lie. For tests only; shares no code with the reader.
import { deflateSync } from "fflate";

export interface CraftedEntry {
  readonly name: string;
  readonly content?: Uint8Array;
  readonly deflate?: boolean;
  readonly localName?: string;
  readonly claimedSize?: number;
  readonly claimedPacked?: number;
  readonly crc?: number;
  readonly mode?: number;
  readonly flags?: number;
  readonly method?: number;
  /** Points to another entry's bytes. */
  readonly offset?: number;
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const record = (fields: readonly (readonly [bytes: 2 | 4, value: number])[], ...tails: Uint8Array[]): Uint8Array => {
  const buffer = Buffer.alloc(fields.reduce((total, [bytes]) => total + bytes, 0));
  let at = 0;
  for (const [bytes, value] of fields) at = bytes === 2 ? buffer.writeUInt16LE(value, at) : buffer.writeUInt32LE(value, at);
  return Uint8Array.from(Buffer.concat([buffer, ...tails]));
};

export function craftZip(entries: readonly CraftedEntry[], claimedCount = entries.length): Uint8Array {
  const locals: Uint8Array[] = [];
  const centrals: Uint8Array[] = [];
  let offset = 0;
  for (const entry of entries) {
    const content = entry.content ?? new Uint8Array(0);
    const packed = entry.deflate === true ? deflateSync(content) : content;
    const method = entry.method ?? (entry.deflate === true ? 8 : 0);
    const crc = entry.crc ?? crc32(content);
    const size = entry.claimedSize ?? content.length;
    const packedSize = entry.claimedPacked ?? packed.length;
    const name = new TextEncoder().encode(entry.name);
    const localName = new TextEncoder().encode(entry.localName ?? entry.name);
    const common = [
      [2, 20],
      [2, entry.flags ?? 0],
      [2, method],
      [2, 0],
      [2, 33],
      [4, crc],
      [4, packedSize],
      [4, size],
    ] as const;
    const local = record([[4, 0x04034b50], ...common, [2, localName.length], [2, 0]], localName, packed);
    const tail = [
      [2, name.length],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [4, (entry.mode ?? 0o100644) * 65_536],
      [4, entry.offset ?? offset],
    ] as const;
    centrals.push(record([[4, 0x02014b50], [2, 0x0314], ...common, ...tail], name));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = record([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, claimedCount],
    [2, claimedCount],
    [4, directory.length],
    [4, offset],
    [2, 0],
  ]);
  return Uint8Array.from(Buffer.concat([...locals, directory, end]));
}
