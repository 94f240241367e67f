// The encoders of the device against the codecs of the CPU, on random updates, odd tails and special values. A missing adapter fails.
import { codecNamed, type Encoded, randomStream } from "@weft/tensors";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { storageBuffer } from "../buffer-tensors.ts";
import { DeviceEncoder, DeviceUpdate, encodesRightly, openDevice } from "../index.ts";

const CODECS = ["int8", "int4", "ternary"];
const STREAM = { seed: 7, lease: 3 };
const MOST_OFF = 1 / 10_000;

let device: GPUDevice;
/** Whether the device's quotients are those of IEEE 754. */
let exact = false;
beforeAll(async () => {
  const opened = await openDevice({ gpu: navigator.gpu, allowSoftware: true });
  if (!opened.ok) throw new Error(`${opened.message}: see the flags in vite.config.ts`);
  device = opened.value.device;
  exact = await dividesExactly();
});
afterAll(() => device.destroy());

/** Values in buffers of the device as a step leaves them: several tensors one behind the other. */
function onDevice(
  values: Float32Array,
  parts = 3,
): { readonly buffer: GPUBuffer; readonly offsetBytes: number; readonly sizeBytes: number }[] {
  const sources = [];
  for (let part = 0; part < parts; part++) {
    const [from, to] = [part, part + 1].map((at) => Math.floor((at * values.length) / parts)) as [number, number];
    if (from === to) continue;
    const buffer = storageBuffer(device, 4 * (to - from), "gradient");
    device.queue.writeBuffer(buffer, 0, values.slice(from, to));
    sources.push({ buffer, offsetBytes: 0, sizeBytes: 4 * (to - from) });
  }
  return sources;
}

/** By codec, compiled once. */
const encoders = new Map<string, Promise<DeviceEncoder>>();
async function updateOf(name: string, size: number): Promise<DeviceUpdate> {
  const encoder = encoders.get(name) ?? DeviceEncoder.compile(device, name);
  encoders.set(name, encoder);
  return new DeviceUpdate(device, await encoder, size);
}

/** Sealed as the codec does it. */
async function packed(name: string, update: DeviceUpdate, size: number, divisor = 1, stream = STREAM): Promise<Encoded> {
  const { encoded } = await update.pack(divisor, stream);
  return encoded.ok ? { ok: true, bytes: codecNamed(name)?.seal?.(encoded.bytes, size) ?? encoded.bytes } : encoded;
}

async function encodedOnDevice(name: string, values: Float32Array, stream = STREAM, divisor = 1): Promise<Encoded> {
  const update = await updateOf(name, values.length);
  const sources = onDevice(values);
  try {
    update.add(sources);
    return await packed(name, update, values.length, divisor, stream);
  } finally {
    update.dispose();
    for (const { buffer } of sources) buffer.destroy();
  }
}

const bytesOf = (encoded: Encoded | undefined): Uint8Array => {
  if (!encoded?.ok) throw new Error(encoded?.detail);
  return encoded.bytes;
};
const onCpu = (name: string, values: Float32Array, stream = STREAM): Encoded | undefined => codecNamed(name)?.encode(values, stream);

/** Decoded in units of each block's level: whole numbers, which say by how many steps two encodings differ. */
function symbolsOf(name: string, bytes: Uint8Array, size: number): Float64Array {
  const opened = codecNamed(name)?.open(bytes, size);
  if (!opened?.ok) throw new Error(opened?.detail);
  const values = new Float32Array(size);
  for (let from = 0; from < size; from += 4096) {
    const refused = opened.reader.next(values.subarray(from, from + 4096));
    if (refused !== null) throw new Error(refused.detail);
  }
  return Float64Array.from(values);
}

/** Largest difference in units of `top` levels of the block's largest value, and how many differ at all. */
function compare(name: string, ours: Uint8Array, theirs: Uint8Array, size: number) {
  const [a, b] = [symbolsOf(name, ours, size), symbolsOf(name, theirs, size)];
  const top = { int8: 127, int4: 7, ternary: 1 }[name] as number;
  let [differing, steps] = [0, 0];
  for (let from = 0; from < size; from += 256) {
    const block = b.subarray(from, from + 256);
    const scale = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let at = from; at < from + block.length; at++) {
      if (a[at] === b[at]) continue;
      differing += 1;
      steps = Math.max(steps, Math.abs((a[at] as number) - (b[at] as number)) / (scale / top));
    }
  }
  return { differing, steps };
}

async function dividesExactly(): Promise<boolean> {
  const size = 4096;
  const random = randomStream(5, 0);
  const [above, below] = [0, 1].map(() => Float32Array.from({ length: size }, () => random.normal() + 8)) as [Float32Array, Float32Array];
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] = x[id.x] / y[id.x]; }`,
  });
  const pipeline = device.createComputePipeline({ compute: { module }, layout: "auto" });
  const [x, y] = [above, below].map((values) => onDevice(values, 1)[0]?.buffer) as [GPUBuffer, GPUBuffer];
  const staging = device.createBuffer({ size: 4 * size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [x, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(size / 64);
  pass.end();
  encoder.copyBufferToBuffer(x, 0, staging, 0, 4 * size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const quotients = new Float32Array(staging.getMappedRange().slice(0));
  for (const buffer of [x, y, staging]) buffer.destroy();
  return quotients.every((value, at) => value === Math.fround((above[at] as number) / (below[at] as number)));
}

const normals = (size: number, seed: number, scale = 0.02): Float32Array => {
  const random = randomStream(seed, size);
  return Float32Array.from({ length: size }, () => random.normal() * scale);
};

describe.each(CODECS)("%s on the device", { timeout: 120_000 }, (name) => {
  afterEach(() => vi.restoreAllMocks());

  it("packs the bytes of the CPU, or, where the device divides otherwise, hardly ever a level that is one off", async () => {
    for (const size of [1, 2, 5, 19, 20, 21, 255, 256, 257, 511, 512, 513, 1279, 1281, 4099, 50_003]) {
      const values = normals(size, 11);
      const [ours, theirs] = [bytesOf(await encodedOnDevice(name, values)), bytesOf(onCpu(name, values))];
      if (exact) expect(ours, `${size} values`).toEqual(theirs);
      const { differing, steps } = compare(name, ours, theirs, size);
      expect(differing).toBeLessThanOrEqual(Math.floor(MOST_OFF * size));
      expect(steps).toBeLessThan(1.001);
    }
  });

  it("does so for drawn sizes, seeds, leases and magnitudes", async () => {
    const magnitude = fc.constantFrom(1e-30, 1e-7, 1e-3, 1, 9000);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6000 }),
        fc.nat({ max: 2 ** 32 - 1 }),
        fc.nat({ max: 2 ** 40 }),
        magnitude,
        async (size, seed, lease, scale) => {
          const values = normals(size, seed % 1000, scale);
          const stream = { seed, lease };
          const [ours, theirs] = [bytesOf(await encodedOnDevice(name, values, stream)), bytesOf(onCpu(name, values, stream))];
          if (exact) expect(ours).toEqual(theirs);
          expect(compare(name, ours, theirs, size).differing).toBeLessThanOrEqual(Math.ceil(MOST_OFF * size));
        },
      ),
      { numRuns: 25 },
    );
  });

  it("takes zeros, subnormal values, the largest f16, and values that equal their scale", async () => {
    const special = new Float32Array(256 * 7 + 3);
    special.fill(-0, 0, 128);
    special.set([1e-45, -1e-45, 1e-40, -1e-39, 2 ** -126], 256);
    special.set([65_504, -65_504, 1e-30, -1e-30, 3], 512);
    special.set([2 ** -24, -(2 ** -25), 2 ** -14, 2 ** -15 * 1.1], 768);
    special.fill(0.75, 1024, 1152).fill(-0.75, 1152, 1280);
    special.set([0.1], 1280);
    special.set([1e-45], 256 * 7 + 2);
    expect(await encodedOnDevice(name, special)).toEqual(onCpu(name, special));
    expect(await encodedOnDevice(name, new Float32Array(1000))).toEqual(onCpu(name, new Float32Array(1000)));
  });

  it("refuses NaN, infinities and what lies beyond f16, wherever it stands, alone and in a mean", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 65_505, -3e38])
      for (const at of [0, 255, 256, 700, 1000]) {
        const values = normals(1001, 2);
        values[at] = value;
        expect(await encodedOnDevice(name, values), `${value} at ${at}`).toMatchObject({ ok: false, fault: "not-finite" });
        expect(onCpu(name, values)).toMatchObject({ ok: false, fault: "not-finite" });
        if (!Number.isFinite(value)) expect(await encodedOnDevice(name, values, STREAM, 3)).toMatchObject({ fault: "not-finite" });
      }
    const late = normals(1001, 2);
    late[700] = 70_000;
    expect(await encodedOnDevice(name, late)).toMatchObject({ detail: "block 2 reaches beyond f16" });
  });

  it("is found to conform, and not any more with levels that are rounded otherwise", async () => {
    expect(await encodesRightly(device, await DeviceEncoder.compile(device, name))).toBe(true);
    const { createShaderModule } = GPUDevice.prototype;
    vi.spyOn(GPUDevice.prototype, "createShaderModule").mockImplementation(function (this: GPUDevice, descriptor) {
      return createShaderModule.call(this, { ...descriptor, code: descriptor.code.replace("let level = floor(", "let level = round(") });
    });
    expect(await encodesRightly(device, await DeviceEncoder.compile(device, name))).toBe(false);
  });
});

describe("an update on the device", { timeout: 60_000 }, () => {
  afterEach(() => vi.restoreAllMocks());

  it.each(CODECS)("in %s is the sum of what was added, divided, and begins anew when it is cleared", async (name) => {
    const size = 5003;
    const parts = [1, 2, 3, 4].map((seed) => normals(size, seed));
    const sum = new Float32Array(size);
    for (const part of parts) for (let at = 0; at < size; at++) sum[at] = (sum[at] as number) + (part[at] as number);
    // Halving is exact, so every device divides alike.
    const mean = sum.map((value) => value / 4);
    const update = await updateOf(name, size);
    for (let round = 0; round < 2; round++) {
      for (const part of parts) update.add(onDevice(part));
      if (round === 1) {
        update.clear();
        for (const part of parts) update.add(onDevice(part));
      }
      const [ours, theirs] = [bytesOf(await packed(name, update, size, 4)), bytesOf(onCpu(name, mean))];
      expect(compare(name, ours, theirs, size).differing).toBeLessThanOrEqual(1);
    }
    await expect(update.pack(4, STREAM)).rejects.toThrow("pack before add");
    update.dispose();
  });

  it.each(CODECS)("in %s is what was taken away from what was there, and so weights before minus weights after", async (name) => {
    const size = 2049;
    const [before, moved] = [normals(size, 8, 1), normals(size, 9, 1e-3)];
    const after = before.map((value, at) => value - (moved[at] as number));
    const change = before.map((value, at) => value - (after[at] as number));
    const update = await updateOf(name, size);
    update.add(onDevice(before));
    update.subtract(onDevice(after));
    const [ours, theirs] = [bytesOf(await packed(name, update, size)), bytesOf(onCpu(name, change))];
    if (exact) expect(ours).toEqual(theirs);
    expect(compare(name, ours, theirs, size).differing).toBeLessThanOrEqual(1);
    update.dispose();
  });

  it("with something infinite in any of its parts is refused, though they are added up or cancel out", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const where of [0, 1, 2]) {
        const parts = [1, 2, 3].map((seed) => normals(300, seed));
        (parts[where] as Float32Array)[299] = bad;
        const update = await updateOf("int8", 300);
        for (const part of parts) update.add(onDevice(part));
        expect((await update.pack(3, STREAM)).encoded).toMatchObject({ ok: false, fault: "not-finite" });
        update.add(onDevice(parts[where] as Float32Array));
        update.subtract(onDevice(parts[where] as Float32Array));
        expect((await update.pack(1, STREAM)).encoded).toMatchObject({ ok: false, fault: "not-finite" });
        update.dispose();
      }
  });

  it("divides by any number of samples to within a step of the CPU", async () => {
    const values = normals(20_001, 6, 30);
    const mean = values.map((value) => value / 37);
    for (const name of CODECS) {
      const ours = bytesOf(await encodedOnDevice(name, values, STREAM, 37));
      const { differing, steps } = compare(name, ours, bytesOf(onCpu(name, mean)), 20_001);
      expect(differing).toBeLessThanOrEqual(4);
      expect(steps).toBeLessThan(1.01);
    }
  });

  it("comes with what lies alongside, of any length, in one map", async () => {
    const maps = vi.spyOn(GPUBuffer.prototype, "mapAsync");
    const update = await updateOf("ternary", 777);
    const values = normals(777, 3);
    for (const count of [0, 1, 5000]) {
      update.add(onDevice(values));
      const beside = normals(count, 4);
      maps.mockClear();
      const { encoded, alongside } = await update.pack(1, STREAM, count === 0 ? [] : onDevice(beside, 2));
      expect(maps).toHaveBeenCalledTimes(1);
      expect(alongside).toEqual(beside);
      const bytes = encoded.ok ? encoded.bytes : expect.fail();
      expect(codecNamed("ternary")?.seal?.(bytes, 777)).toEqual(bytesOf(onCpu("ternary", values)));
    }
    update.dispose();
  });

  it("refuses another number of values, to take away from nothing, and a codec that has no encoder here", async () => {
    const update = await updateOf("int8", 10);
    expect(() => update.add(onDevice(new Float32Array(9)))).toThrow("9 values for an update of 10");
    expect(() => update.subtract(onDevice(new Float32Array(10)))).toThrow("subtract before add");
    update.dispose();
    await expect(DeviceEncoder.compile(device, "f32")).rejects.toThrow("does not encode on a device");
  });
});
