import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { type CraftedEntry, craftZip } from "./support/zip.ts";
import { unzip } from "./unzip.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const any = () => 1000;
const open = (archive: Uint8Array, limit: (name: string) => number | null = any) => {
  const result = unzip(archive, limit);
  if (!result.ok) throw new Error(result.detail);
  return result.files;
};

describe("unzip", () => {
  it("reads stored and deflated entries, whoever wrote them, from any byte offset", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.uint8Array({ maxLength: 400 }), { maxKeys: 6 }),
        fc.nat(9),
        (files, level) => {
          const archive = zipSync(files, { level: level as 0 });
          const shelf = new Uint8Array(archive.length + 1);
          shelf.set(archive, 1);
          const found = open(shelf.subarray(1));
          expect([...found.keys()].toSorted()).toEqual(Object.keys(files).toSorted());
          for (const [name, content] of Object.entries(files)) expect(found.get(name)).toEqual(content);
        },
      ),
    );
  });

  it("reads an archive with a comment after it, and passes over entries of folders", () => {
    const archive = craftZip([
      { name: "a/", mode: 0o040755 },
      { name: "a/b", content: bytes("hello"), deflate: true },
    ]);
    const commented = new Uint8Array(archive.length + 5);
    commented.set(archive);
    new DataView(commented.buffer).setUint16(archive.length - 2, 5, true);
    expect([...open(commented).keys()]).toEqual(["a/b"]);
  });

  const one = (entry: Partial<CraftedEntry>): Uint8Array => craftZip([{ name: "a", content: bytes("hello"), ...entry }]);
  /** An entry whose content is another entry with its header, so that both are read from the same bytes. */
  const nested = (): Uint8Array => {
    const inner = { name: "b", content: bytes("hello") };
    const content = craftZip([inner]).slice(0, 30 + 1 + 5);
    return craftZip([
      { name: "a", content },
      { ...inner, offset: 30 + 1 },
    ]);
  };
  const bomb = new Uint8Array(1_000_000);
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /no zip/],
    ["text", bytes("not a zip archive at all, just text"), /no zip/],
    ["a path out of the folder", one({ name: "../a" }), /does not belong/],
    ["an absolute path", one({ name: "/etc/passwd" }), /does not belong/],
    ["a Windows path", one({ name: "..\\a" }), /does not belong/],
    ["a symbolic link", one({ mode: 0o120777 }), /link/],
    ["a device", one({ mode: 0o020666 }), /special/],
    ["the same name twice", craftZip([{ name: "a" }, { name: "a" }]), /twice/],
    ["two entries on the same bytes", nested(), /share bytes/],
    ["another name in the local header", one({ localName: "b" }), /another name/],
    ["a size above the limit", one({ content: new Uint8Array(1001) }), /at most 1000/],
    ["a bomb that claims to be small", one({ content: bomb, deflate: true, claimedSize: 900 }), /more than the 900/],
    ["a bomb that says its size", one({ content: bomb, deflate: true }), /at most 1000/],
    ["content shorter than claimed", one({ deflate: true, claimedSize: 9 }), /not the 9/],
    ["a wrong checksum", one({ crc: 1 }), /checksum/],
    ["encryption", one({ flags: 1 }), /encrypted/],
    ["another packing method", one({ method: 12 }), /method 12/],
    ["stored with two sizes", one({ claimedSize: 4 }), /two sizes/],
    ["bytes beyond the end", one({ claimedPacked: 4e9, claimedSize: 4e9, deflate: true }), /at most 1000/],
    ["packed bytes beyond the end", one({ claimedPacked: 4e9, deflate: true }), /beyond the end/],
    ["a header that is not there", one({ offset: 4e9 }), /no header/],
    ["garbage as deflated bytes", one({ method: 8, content: new Uint8Array(50).fill(0xff) }), /unpack/],
    ["more entries than are read", craftZip(Array.from({ length: 65 }, (_, index) => ({ name: `f${index}` }))), /65 entries/],
    ["more entries claimed than there are", craftZip([{ name: "a" }], 2), /directory/],
  ])("refuses %s", (_, archive, detail) => {
    const result = unzip(archive, (name) => (/^[a-z0-9]+$/.test(name) ? 1000 : null));
    if (result.ok) throw new Error("it was accepted");
    expect(result.detail).toMatch(detail);
  });

  it("answers for any bytes and any change of a good archive, and never throws", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => void unzip(noise, any)));
    const good = craftZip([
      { name: "a", content: bytes("hello hello hello"), deflate: true },
      { name: "b", content: bytes("plain") },
    ]);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const archive = good.slice();
        archive[at] = (archive[at] as number) ^ change;
        unzip(archive, any);
        unzip(archive.subarray(0, at), any);
      }),
      { numRuns: 500 },
    );
  });
});
