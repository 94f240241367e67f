import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gunzip } from "./bytes.ts";
import { importJsonl, importText } from "./import-text.ts";
import type { About } from "./shards.ts";
import { alphabetOf, decodeTokens, encodeText, keepKnown, normalizeText } from "./text.ts";

const about: About = { id: "t", name: "T", description: "Text", source: "here", license: "CC0-1.0", attribution: "Nobody", citation: "" };
const file = (text: string, name = "a.txt") => ({ name, bytes: new TextEncoder().encode(text) });
const read = async (made: ReturnType<typeof importText>) => {
  const { manifest, shards } = await made;
  if (manifest.form.kind !== "text") throw new Error("not a text");
  const { alphabet } = manifest.form;
  const wide = alphabet.length > 256;
  const texts = shards.map((shard) => {
    const view = new DataView(shard.buffer, shard.byteOffset, shard.byteLength);
    return decodeTokens(
      alphabet,
      Array.from({ length: shard.length / (wide ? 2 : 1) }, (_, at) => (wide ? view.getUint16(2 * at, true) : view.getUint8(at))),
    );
  });
  return { alphabet, train: texts.slice(0, manifest.train.length).join(""), heldOut: texts.slice(manifest.train.length).join("") };
};

describe("text import", () => {
  it("holds out the end of each file, by characters, and sorts the alphabet by code point", async () => {
    const made = await read(importText({ about, files: [file("abcdefghij"), file("ABCDEFGHIJKLMNOPQRS🧵")] }));
    expect(made).toMatchObject({ train: "abcdefghiABCDEFGHIJKLMNOPQR", heldOut: "jS🧵" });
    expect(made.alphabet).toEqual([..."ABCDEFGHIJKLMNOPQRSabcdefghij", "🧵"]);
  });

  it("turns line ends into LF and composes characters", async () => {
    const made = await read(importText({ about, files: [file("\ufeffe\u0301\r\na\rb\n")], heldOutFraction: 0 }));
    expect(made.train).toBe("é\na\nb\n");
  });

  it("uses two bytes a token above 256 symbols", async () => {
    const text = Array.from({ length: 400 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join("");
    const made = await read(importText({ about, files: [file(text)], heldOutFraction: 0.5 }));
    expect(made.train + made.heldOut).toBe(text);
  });

  it("refuses invalid UTF-8 with its line, an empty file, a text of one symbol", async () => {
    const bad = { name: "b.txt", bytes: Uint8Array.of(65, 10, 66, 10, 0xff, 67) };
    await expect(importText({ about, files: [bad] })).rejects.toThrow("b.txt, line 3: not valid UTF-8");
    await expect(importText({ about, files: [file("")] })).rejects.toThrow("a.txt: is empty");
    await expect(importText({ about, files: [file("aaaa")] })).rejects.toThrow("fewer than two different characters");
  });
});

describe("JSON lines import", () => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, index) => JSON.stringify({ text: `document ${index}`, more: 1 })).join("\n");
  it("keeps documents whole, ends each with an empty line, holds out the last ones", async () => {
    const made = await read(importJsonl({ about, files: [file(`${lines(4)}\n\n`)], heldOutFraction: 0.25 }));
    expect(made.train).toBe("document 0\n\ndocument 1\n\ndocument 2\n\n");
    expect(made.heldOut).toBe("document 3\n\n");
  });
  it.each([
    ['{"text": "a"}\n{"text": 3}', 'd.jsonl, line 2: no "text" that is a string'],
    ['{"text": "a"}\n\n{"text": "b"', "d.jsonl, line 3: not valid JSON"],
    ['"text"', 'd.jsonl, line 1: no "text"'],
    ["\n\n", "d.jsonl: holds no documents"],
  ])("refuses %j with the line and the rule", async (text, sentence) => {
    await expect(importJsonl({ about, files: [file(text, "d.jsonl")] })).rejects.toThrow(sentence);
  });
});

describe("tokens", () => {
  it("give back any normalised text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (raw) => {
        const text = normalizeText(raw).replaceAll(/[\ud800-\udfff]/gu, "");
        const alphabet = alphabetOf([text]);
        expect(decodeTokens(alphabet, encodeText(alphabet, text))).toBe(text);
        expect(alphabet).toEqual([...new Set(text)].sort((one, other) => (one.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0)));
      }),
    );
  });
  it("refuse a strange character, which keepKnown leaves out", () => {
    const alphabet = alphabetOf(["abc"]);
    expect(() => encodeText(alphabet, "abd")).toThrow('"d" is not in the data set\'s alphabet');
    expect(keepKnown(alphabet, "a\r\nbdc🧵")).toBe("abc");
    expect(() => decodeTokens(alphabet, [3])).toThrow(RangeError);
  });
});

describe("unpacking", () => {
  it("stops at the cap, however small the packed file is", async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(5_000_000)));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(gunzip({ name: "bomb.gz", bytes: bomb }, 1_000_000)).rejects.toThrow("bomb.gz: unpacks to more than 1000000 bytes");
  });
});
