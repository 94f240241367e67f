import { parseSafetensorsMetadata } from "@huggingface/hub";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomStream } from "./random.ts";
import { readSafetensors, type Tensor, writeSafetensors } from "./safetensors.ts";

const random = randomStream(11, 0);
const tensor = (name: string, shape: readonly number[]): Tensor => ({
  name,
  shape,
  values: Float32Array.from({ length: shape.reduce((product, extent) => product * extent, 1) }, () => random.normal()),
});
const MODEL = [tensor("fc1.weight", [32, 64]), tensor("fc1.bias", [32]), tensor("fc2.weight", [10, 32]), tensor("fc2.bias", [10])];

/** A second reader, from the format's description alone: Node's Buffer and one value at a time. */
function plainRead(file: Uint8Array): Map<string, { shape: number[]; numbers: number[] }> {
  const buffer = Buffer.from(file);
  const dataAt = 8 + buffer.readUInt32LE(0);
  const found = new Map<string, { shape: number[]; numbers: number[] }>();
  for (const [name, info] of Object.entries<{ dtype: string; shape: number[]; data_offsets: number[] }>(
    JSON.parse(buffer.toString("utf8", 8, dataAt)),
  )) {
    if (name === "__metadata__") continue;
    const numbers: number[] = [];
    const [begin, end] = info.data_offsets as [number, number];
    for (let at = begin; at < end; at += info.dtype === "F64" ? 8 : 4)
      numbers.push(info.dtype === "F64" ? buffer.readDoubleLE(dataAt + at) : buffer.readFloatLE(dataAt + at));
    found.set(name, { shape: info.shape, numbers });
  }
  return found;
}

/** A server that holds one file, with ranges, as the hub's client asks for it. */
const serving =
  (file: Uint8Array): typeof fetch =>
  async (_input, init) => {
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("range") ?? "");
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(Number(range?.[2] ?? file.length - 1), file.length - 1);
    return new Response(file.slice(from, to + 1), {
      status: range === null ? 200 : 206,
      headers: {
        "content-range": `bytes ${from}-${to}/${file.length}`,
        "content-length": String(to + 1 - from),
        "content-type": "application/octet-stream",
        etag: '"weights"',
      },
    });
  };

describe("a written file", () => {
  it("is accepted by the Hugging Face hub's own parser, with names, shapes, types and the parameter count", async () => {
    const file = writeSafetensors(MODEL);
    const parsed = await parseSafetensorsMetadata({
      repo: "weft/test",
      path: "model.safetensors",
      computeParametersCount: true,
      fetch: serving(file),
    });
    if (parsed.sharded) throw new Error("one file was written");
    expect(parsed.header.__metadata__).toEqual({ format: "pt" });
    for (const { name, shape } of MODEL) expect(parsed.header[name]).toMatchObject({ dtype: "F32", shape });
    expect(parsed.parameterTotal ?? parsed.parameterCount?.F32).toBe(32 * 64 + 32 + 320 + 10);
  });

  it("gives the same numbers to a reader that shares no code with the writer", () => {
    const found = plainRead(writeSafetensors(MODEL));
    expect([...found.keys()]).toEqual(MODEL.map(({ name }) => name));
    for (const { name, shape, values } of MODEL) expect(found.get(name)).toEqual({ shape, numbers: [...values] });
  });

  it("starts its data on a multiple of 8 bytes whatever the names' lengths, and is the same bytes each time", () => {
    for (let length = 1; length < 20; length++) {
      const file = writeSafetensors([{ name: "n".repeat(length), shape: [], values: Float64Array.of(length) }]);
      expect(Number(new DataView(file.buffer).getBigUint64(0, true)) % 8).toBe(0);
      expect(plainRead(file).get("n".repeat(length))?.numbers).toEqual([length]);
    }
    expect(writeSafetensors(MODEL, { a: "b" })).toEqual(writeSafetensors(MODEL, { a: "b" }));
  });

  it("comes back from our reader bit for bit, with metadata, from any byte offset, names like numbers in order", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z0-9._]{1,12}$/), fc.float32Array({ maxLength: 20 })), {
          selector: ([name]) => name,
          maxLength: 8,
        }),
        fc.integer({ min: 0, max: 7 }),
        (entries, offset) => {
          const tensors = entries.map(([name, values]) => ({ name, shape: [values.length], values }));
          const file = writeSafetensors(tensors, { kind: "test" });
          const shelf = new Uint8Array(file.length + offset);
          shelf.set(file, offset);
          const read = readSafetensors(shelf.subarray(offset));
          if (!read.ok) throw new Error(read.detail);
          expect(read.metadata).toEqual({ format: "pt", kind: "test" });
          expect(read.tensors.size).toBe(tensors.length);
          for (const one of tensors) expect(read.tensors.get(one.name)).toEqual(one);
        },
      ),
    );
  });

  it("cannot be made with two tensors of one name, the metadata's name, or a shape that does not fit", () => {
    const one = tensor("x", [2]);
    expect(() => writeSafetensors([one, one])).toThrow(RangeError);
    expect(() => writeSafetensors([{ ...one, name: "__metadata__" }])).toThrow(RangeError);
    expect(() => writeSafetensors([{ ...one, shape: [3] }])).toThrow(RangeError);
  });
});

const crafted = (header: string, dataBytes: number, claimed?: bigint): Uint8Array => {
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  file.set(json, 8);
  return file;
};
const entry = (begin: number, end: number, shape: readonly unknown[] = [(end - begin) / 4], dtype = "F32") =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe("a hostile file", () => {
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /too few/],
    ["a header longer than the file", crafted("{}", 0, 100n), /claims 100/],
    ["a header of 2^63 bytes", crafted("{}", 0, 2n ** 63n), /at most/],
    ["a header that is not JSON", crafted("{", 0), /not JSON/],
    ["a header that is not UTF-8", new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]), /not JSON/],
    ["a header that is a list", crafted("[]", 0), /not an object/],
    ["a header after blanks", crafted("  {}", 0), /starts at once/],
    ["a tensor that is no object", crafted('{"a":3}', 0), /is not \{/],
    ["another type", crafted(`{"a":${entry(0, 4, [1], "I32")}}`, 4), /only F32 and F64/],
    ["a negative extent", crafted(`{"a":${entry(0, 4, [-1])}}`, 4), /malformed shape/],
    ["a fractional extent", crafted(`{"a":${entry(0, 4, [0.5, 2])}}`, 4), /malformed shape/],
    ["a text as extent", crafted(`{"a":${entry(0, 4, ["1"])}}`, 4), /malformed shape/],
    ["extents that overflow", crafted(`{"a":${entry(0, 4, [2 ** 50, 2 ** 50])}}`, 4), /by its shape/],
    ["offsets beyond the file", crafted(`{"a":${entry(0, 400)}}`, 4), /file holds 4/],
    ["offsets that run backwards", crafted(`{"a":${entry(4, 0, [1])}}`, 4), /by its offsets/],
    ["two tensors on the same bytes", crafted(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12), /inside another/],
    ["a gap", crafted(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12), /after a gap/],
    ["bytes after the last tensor", crafted(`{"a":${entry(0, 4)}}`, 8), /file holds 8/],
    ["an unknown field", crafted('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4), /is not \{/],
    ["metadata that is not text", crafted('{"__metadata__":{"a":1}}', 0), /metadata/],
    ["a name of 300 characters", crafted(`{"${"a".repeat(300)}":${entry(0, 4)}}`, 4), /300 characters/],
  ])("is refused with what is wrong: %s", (_, file, detail) => {
    const read = readSafetensors(file);
    if (read.ok) throw new Error("it was accepted");
    expect(read.detail).toMatch(detail);
  });

  it("never throws and never reads wrongly, whichever byte of a good file is changed", () => {
    const good = writeSafetensors([tensor("a", [3]), tensor("b", [2, 2])]);
    const dataAt = good.length - 28;
    for (let at = 0; at < dataAt; at++)
      for (const change of [1, 0x20, 0x80]) {
        const file = good.slice();
        file[at] = (file[at] as number) ^ change;
        const read = readSafetensors(file);
        if (read.ok) expect([...read.tensors.values()].reduce((total, { values }) => total + values.byteLength, 0)).toBe(28);
      }
  });
});
