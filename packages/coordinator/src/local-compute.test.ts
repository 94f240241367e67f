// What is said of an upload that was looked through while it came is what is said of one that lay there whole.
import { createHash } from "node:crypto";
import { memoryStorage } from "@weft/storage";
import { codecNamed } from "@weft/tensors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LocalCompute } from "./local-compute.ts";
import { MemorySpool } from "./memory-spool.ts";
import type { Inspection } from "./ports.ts";

/** Of f32 a little more than two of the pieces in which it is read. */
const PARAMETERS = 530_000;
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const sane = Float32Array.from({ length: PARAMETERS }, (_, at) => Math.sin(at));
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.slice().buffer);

interface Sent {
  readonly codec: string;
  readonly bytes: Uint8Array;
  readonly sha256?: string;
}
async function verdict({ codec, bytes, sha256 = hash(bytes) }: Sent, follows: readonly number[]): Promise<Inspection> {
  const spool = new MemorySpool();
  const storage = memoryStorage();
  let mostBytes = 0;
  let piecesBytes = 0;
  const { read } = spool;
  spool.read = async (...args) => {
    const found = await read.apply(spool, args);
    mostBytes = Math.max(mostBytes, found?.length ?? 0);
    if (args.length > 1) piecesBytes += found?.length ?? 0;
    return found;
  };
  const compute = new LocalCompute({ storage, spool, evaluate: () => Promise.reject(new Error("nothing is evaluated")) });
  const upload = { name: "run.0.1.1.1", run: "run", sha256, codec, parameters: PARAMETERS };
  await spool.begin(upload.name, "about");
  let sent = 0;
  for (const until of [...follows, bytes.length]) {
    await spool.append(upload.name, bytes.subarray(sent, until));
    sent = until;
    if (until < bytes.length) compute.follow(upload, until);
  }
  const found = await compute.takeIn(upload);
  const stored = await storage.contributions.get("run", sha256);
  expect(stored === null ? null : hash(stored)).toBe(found.ok ? hash(bytes) : null);
  if (codec === "f32" && !found.ok) expect(mostBytes).toBeLessThanOrEqual(1024 ** 2);
  if (codec === "f32") expect(piecesBytes).toBe(bytes.length);
  return found;
}

const encoded = (codec: string): Uint8Array => {
  const result = codecNamed(codec)?.encode(sane, { seed: 1, lease: 2 });
  if (result?.ok !== true) throw new Error(`${codec} does not encode`);
  return result.bytes;
};
const changed = (at: number, value: number): Uint8Array => bytesOf(sane.with(at, value));

const CASES: Readonly<Record<string, readonly [sent: Sent, code: string | null]>> = {
  sound: [{ codec: "f32", bytes: bytesOf(sane) }, null],
  "signed for other bytes": [{ codec: "f32", bytes: bytesOf(sane), sha256: "0".repeat(64) }, "wrong-hash"],
  "with a value that is none at its beginning": [{ codec: "f32", bytes: changed(0, Number.NaN) }, "not-finite"],
  "with a value that is none at its end": [{ codec: "f32", bytes: changed(PARAMETERS - 1, Number.POSITIVE_INFINITY) }, "not-finite"],
  "signed for others, with a value that is none": [{ codec: "f32", bytes: changed(7, Number.NaN), sha256: "0".repeat(64) }, "wrong-hash"],
  "larger than any update": [{ codec: "f32", bytes: changed(99, 3e38) }, "norm-outlier"],
  "too short": [{ codec: "f32", bytes: bytesOf(sane).subarray(4) }, "wrong-length"],
  "no whole number of values": [{ codec: "f32", bytes: bytesOf(sane).subarray(1) }, "wrong-length"],
  "too long": [{ codec: "f32", bytes: bytesOf(new Float32Array(PARAMETERS + 300_000)) }, "wrong-length"],
  "of a codec that is read as a whole": [{ codec: "int8", bytes: encoded("int8") }, null],
  "of a codec that is none": [{ codec: "gif", bytes: bytesOf(sane) }, "bad-payload"],
};

describe("an upload that is followed", { timeout: 60_000 }, () => {
  it.each(Object.entries(CASES))("%s: gets the verdict that it gets without", async (_, [sent, code]) => {
    const alone = await verdict(sent, []);
    expect(alone).toMatchObject(code === null ? { ok: true } : { ok: false, code });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(sent.bytes.length), { maxLength: 5 }), async (follows) => {
        expect(
          await verdict(
            sent,
            follows.sort((a, b) => a - b),
          ),
        ).toEqual(alone);
      }),
      { numRuns: 4 },
    );
  });

  it("of which a piece could not be read is looked through anew; those that nobody asks for are forgotten", async () => {
    const bytes = bytesOf(sane);
    const spool = new MemorySpool();
    const compute = new LocalCompute({
      storage: memoryStorage(),
      spool,
      evaluate: () => Promise.reject(new Error("nothing is evaluated")),
    });
    const uploadOf = (number: number) => ({
      name: `run.0.1.1.${number}`,
      run: "run",
      sha256: hash(bytes),
      codec: "f32",
      parameters: PARAMETERS,
    });
    const { read } = spool;
    for (let number = 0; number < 60; number++) {
      await spool.begin(uploadOf(number).name, "about");
      await spool.append(uploadOf(number).name, bytes);
      if (number === 59) spool.read = () => Promise.reject(new Error("the disk is broken"));
      compute.follow(uploadOf(number), 1024 ** 2);
      await new Promise((resolve) => setImmediate(resolve));
      spool.read = read;
    }
    for (const number of [0, 58, 59]) expect(await compute.takeIn(uploadOf(number))).toMatchObject({ ok: true });
    await expect(compute.takeIn({ ...uploadOf(60), sha256: "0".repeat(64) })).rejects.toThrow("neither");
  });
});
