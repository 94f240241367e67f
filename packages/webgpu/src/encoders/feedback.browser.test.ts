// sign and topk on the device against the codecs of the CPU: the same bytes always, since both are integers there; and what they do not say,
// read back and given to the next. A missing adapter fails.
import { codecNamed, type Encoded, encodeWithResidual, randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { storageBuffer } from "../buffer-tensors.ts";
import { DeviceEncoder, DeviceUpdate, encodesRightly, openDevice } from "../index.ts";

const STREAM = { seed: 7, lease: 3 };

let device: GPUDevice;
beforeAll(async () => {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  device = opened.value.device;
});
afterAll(() => device.destroy());

const normals = (size: number, seed: number, scale = 0.02): Float32Array => {
  const random = randomStream(seed, size);
  return Float32Array.from({ length: size }, () => random.normal() * scale);
};

describe.each(["sign", "topk"])("%s on the device", { timeout: 120_000 }, (name) => {
  const codec = codecNamed(name) ?? expect.fail();
  const beta = codec.feedback ?? expect.fail();
  let encoder: DeviceEncoder;
  beforeAll(async () => {
    encoder = await DeviceEncoder.compile(device, name);
  });
  afterEach(() => vi.restoreAllMocks());

  /** Encodes `values`, and hands what came of it to `after`. */
  async function pack(update: DeviceUpdate, values: Float32Array, divisor = 1): Promise<Encoded> {
    const buffer = storageBuffer(device, 4 * values.length, "values");
    device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
    update.add([{ buffer, offsetBytes: 0, sizeBytes: 4 * values.length }]);
    buffer.destroy();
    const { encoded } = await update.pack(divisor, STREAM);
    return encoded.ok ? { ok: true, bytes: codec.seal?.(encoded.bytes, values.length) ?? encoded.bytes } : encoded;
  }
  async function encodedOnDevice(values: Float32Array, divisor = 1): Promise<Encoded> {
    const update = new DeviceUpdate(device, encoder, values.length);
    try {
      return await pack(update, values, divisor);
    } finally {
      update.dispose();
    }
  }

  it("packs the bytes of the CPU, of any size", async () => {
    for (const size of [1, 2, 5, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 513, 1281, 4095, 4096, 4097, 8192, 12_289, 50_003]) {
      const values = normals(size, 11);
      expect(await encodedOnDevice(values), `${size} values`).toEqual(codec.encode(values, STREAM));
    }
  });

  it("does so for drawn sizes and magnitudes, with many that are equal, and with magnitudes that are far apart", async () => {
    const magnitude = fc.constantFrom(1e-38, 1e-30, 1e-7, 1e-3, 1, 5000);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9000 }),
        fc.nat({ max: 1000 }),
        magnitude,
        fc.nat({ max: 3 }),
        async (size, seed, scale, how) => {
          const random = randomStream(seed, size);
          const values = normals(size, seed, scale).map((value) => {
            if (how === 1) return Math.round((value / scale) * 2) * scale;
            if (how === 2) return value * 2 ** -(random.u32() % 60);
            return how === 3 && random.u32() % 50 > 0 ? 0 : value;
          });
          expect(await encodedOnDevice(values)).toEqual(codec.encode(values, STREAM));
        },
      ),
      { numRuns: 40 },
    );
  });

  it("takes zeros, subnormal values, the largest f16, equal values, and means that lie between two scales", async () => {
    const special = new Float32Array(256 * 40 + 3);
    special.fill(-0, 0, 128);
    special.set([1e-45, -1e-45, 1e-40, -1e-39, 2 ** -126], 256);
    special.set([65_504, -65_504, 1e-30, -1e-30, 3], 512);
    special.set([2 ** -24, -(2 ** -25), 2 ** -14, 2 ** -15 * 1.1], 768);
    special.fill(0.75, 1024, 1152).fill(-0.75, 1152, 1280);
    // Of 256 ones, and of twos in their midst, the mean lies on every place between two f16.
    for (let block = 0; block < 8; block++)
      special.fill(1, 1280 + 256 * block, 1536 + 256 * block).fill(1.0078125, 1280 + 256 * block, 1280 + 256 * block + block * 9);
    special
      .fill(2 ** -24, 4096, 4096 + 256)
      .fill(2 ** -25, 4352, 4608)
      .fill(3 * 2 ** -26, 4608, 4864);
    special
      .fill(1 / 3, 8192, 8192 + 100)
      .fill(0.5, 8300, 8400)
      .set([0.75], 8200);
    special.set([0.1, 1e-45], 256 * 40);
    expect(await encodedOnDevice(special)).toEqual(codec.encode(special, STREAM));
    for (const size of [1, 1000, 5000])
      expect(await encodedOnDevice(new Float32Array(size))).toEqual(codec.encode(new Float32Array(size), STREAM));
    const flat = new Float32Array(5000).fill(-0.3);
    expect(await encodedOnDevice(flat)).toEqual(codec.encode(flat, STREAM));
  });

  it("refuses NaN, infinities and what lies beyond f16, wherever it stands", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -3e38])
      for (const at of [0, 255, 256, 4095, 4096, 4999]) {
        const values = normals(5000, 2);
        values[at] = value;
        for (const divisor of [1, 3])
          expect(await encodedOnDevice(values, divisor), `${value} at ${at}`).toMatchObject({ ok: false, fault: "not-finite" });
        expect(codec.encode(values, STREAM)).toMatchObject({ ok: false, fault: "not-finite" });
      }
  });

  it("says what was given beside an update, and leaves the rest, as error feedback on the CPU does", async () => {
    const size = 9001;
    const update = new DeviceUpdate(device, encoder, size);
    let residual: Float32Array = new Float32Array(size);
    for (let round = 0; round < 6; round++) {
      const values = normals(size, round + 1);
      update.give(residual);
      const encoded = await pack(update, values);
      const wanted = encodeWithResidual(codec, beta, residual, values, STREAM);
      if (!wanted.ok) expect.fail();
      expect(encoded).toEqual({ ok: true, bytes: wanted.bytes });
      residual = (await update.rest()) ?? expect.fail();
      expect(residual).toEqual(wanted.rest);
    }
    expect(await pack(update, normals(size, 1)), "nothing is given").toEqual(codec.encode(normals(size, 1), STREAM));
    update.give(residual);
    update.clear();
    expect(await pack(update, normals(size, 1)), "and cleared").toEqual(codec.encode(normals(size, 1), STREAM));
    expect(() => update.give(new Float32Array(3))).toThrow("3 values");
    update.dispose();
  });

  it("gives the rest of the encoding after which it was asked for, whatever is done meanwhile; null where the device is lost", async () => {
    const other = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
    if (!other.ok) throw new Error(other.message);
    const lost = other.value.device;
    const size = 5000;
    const [first, second, third] = [normals(size, 1), normals(size, 2), normals(size, 3)];
    const expected = [first, second, third].map((values) => {
      const wanted = encodeWithResidual(codec, beta, new Float32Array(size), values, STREAM);
      return wanted.ok ? wanted.rest : expect.fail();
    });
    const update = new DeviceUpdate(device, encoder, size);
    await pack(update, first);
    const rests = [update.rest()];
    await pack(update, second);
    rests.push(update.rest());
    update.give(first);
    await pack(update, third);
    expect(await rests[0]).toEqual(expected[0]);
    expect(await rests[1]).toEqual(expected[1]);
    await pack(update, third);
    const last = update.rest();
    update.dispose();
    expect(await last).toEqual(expected[2]);
    const there = new DeviceUpdate(lost, await DeviceEncoder.compile(lost, name), size);
    const buffer = storageBuffer(lost, 4 * size, "values");
    there.add([{ buffer, offsetBytes: 0, sizeBytes: 4 * size }]);
    await there.pack(1, STREAM);
    const gone = there.rest();
    lost.destroy();
    expect(await gone).toBeNull();
    there.dispose();
  });

  it("refuses a value that is not finite, whatever was given beside it, and the next encoding is none the worse", async () => {
    const update = new DeviceUpdate(device, encoder, 300);
    update.give(normals(300, 5));
    expect((await pack(update, new Float32Array(300).fill(Number.NaN))).ok).toBe(false);
    expect(await pack(update, normals(300, 6))).toEqual(codec.encode(normals(300, 6), STREAM));
    update.dispose();
  });

  it("is found to conform, and not any more where it takes other magnitudes or keeps other values", async () => {
    expect(await encodesRightly(device, encoder)).toBe(true);
    const { createShaderModule } = GPUDevice.prototype;
    for (const [right, wrong] of [
      ["cut.lost == cut.half && (cut.bits & 1u) == 1u", "cut.lost > 0u"],
      ["equals < ofEqual", "equals <= ofEqual"],
      ["bitcast<f32>(bits[k]) - ", "bitcast<f32>(bits[k]) + "],
      ["mean + bitcast<f32>(beside[i])", "mean"],
    ] as const) {
      let changed = false;
      vi.spyOn(GPUDevice.prototype, "createShaderModule").mockImplementation(function (this: GPUDevice, descriptor) {
        const code = descriptor.code.replace(right, wrong);
        // What only the other codec's shader uses changes nothing here.
        changed ||= code !== descriptor.code && !(name === "topk" && right.startsWith("cut"));
        return createShaderModule.call(this, { ...descriptor, code });
      });
      expect(await encodesRightly(device, await DeviceEncoder.compile(device, name)), right).toBe(!changed);
      vi.restoreAllMocks();
    }
  });
});
