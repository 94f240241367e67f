// An update that stays on the device: the gradients of a lease are added up there, and only packed bytes are read back. Quantises and packs
// as the codecs of @weft/tensors do on the CPU; what those do with packed bytes beyond that (entropy coding) is still done here, on the CPU.
// Knows no model and no TensorFlow.js; what TensorFlow.js still holds must have been handed to the queue before.
import { type Codec, type CodecStream, codecNamed, type Encoded, streamKey } from "@weft/tensors";
import { type Source, storageBuffer } from "../buffer-tensors.ts";
import { workgroupsFor } from "../launch.ts";
import { PACK_INT4, PACK_TERNARY, PACK_THREADS, PAIR, quantiseShader } from "./quantise.ts";

interface Quantiser {
  /** Levels are whole numbers from -top to top. */
  readonly top: number;
  /** Levels of one packed word; `pack` null: levels are bytes already. */
  readonly levelsPerWord: number;
  readonly pack: string | null;
  packedBytes(size: number): number;
}
const QUANTISERS: Readonly<Record<string, Quantiser>> = {
  int8: { top: 127, levelsPerWord: 4, pack: null, packedBytes: (size) => size },
  int4: { top: 7, levelsPerWord: 8, pack: PACK_INT4, packedBytes: (size) => Math.ceil(size / 2) },
  ternary: { top: 1, levelsPerWord: 20, pack: PACK_TERNARY, packedBytes: (size) => Math.ceil(size / 5) },
};
/** Codecs that encode on a device. */
export const DEVICE_CODECS: readonly string[] = Object.keys(QUANTISERS);

const BLOCK = 256;
const THREADS = 64;
const ADD = `
@group(0) @binding(0) var<storage, read_write> sum: array<f32>;
@group(0) @binding(1) var<storage, read> more: array<f32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < arrayLength(&sum); i = i + groups.x * ${THREADS}u) { sum[i] = sum[i] + more[i]; }
}`;

type Buffers = Readonly<Record<"levels" | "packed" | "scales" | "faults" | "uniforms" | "words" | "staging", GPUBuffer>>;

export class DeviceUpdate {
  readonly #device: GPUDevice;
  readonly #size: number;
  readonly #sum: GPUBuffer;
  /** Made when a second part comes. */
  #more: GPUBuffer | null = null;
  #parts = 0;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #buffers = new Map<string, Buffers>();

  /** Of `size` values, at least one. */
  constructor(device: GPUDevice, size: number) {
    this.#device = device;
    this.#size = size;
    this.#sum = storageBuffer(device, 4 * size, "update");
  }

  /** Adds f32 values that lie in `sources` one behind the other, as many as the update has. They may change as soon as this is done. */
  async add(sources: readonly Source[]): Promise<void> {
    const total = sources.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    if (total !== 4 * this.#size) throw new Error(`${total / 4} values for an update of ${this.#size}`);
    const first = this.#parts === 0;
    if (!first) this.#more ??= storageBuffer(this.#device, 4 * this.#size, "part of an update");
    const into = first ? this.#sum : (this.#more as GPUBuffer);
    const pipeline = first ? null : await this.#pipeline("add", ADD);
    const encoder = this.#device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, offsetBytes, sizeBytes } of sources) {
      encoder.copyBufferToBuffer(buffer, offsetBytes, into, offset, sizeBytes);
      offset += sizeBytes;
    }
    if (pipeline !== null) this.#dispatch(encoder, pipeline, [this.#sum, into], workgroupsFor(this.#size, THREADS));
    this.#device.queue.submit([encoder.finish()]);
    this.#parts += 1;
  }

  /** The next `add` begins anew. */
  clear(): void {
    this.#parts = 0;
  }

  /**
   * The sum divided by `divisor`, a positive whole number, as bytes of the codec, one of DEVICE_CODECS. One map. Refuses as the codec does:
   * NaN, infinities, and blocks beyond f16. Rejects when the device is lost meanwhile. Calls are made one after another.
   */
  async encode(name: string, divisor: number, stream: CodecStream): Promise<Encoded> {
    const quantiser = QUANTISERS[name];
    const codec = codecNamed(name);
    if (quantiser === undefined || codec === undefined) throw new Error(`The codec ${name} does not encode on a device`);
    if (this.#parts === 0) throw new Error("encode before add");
    const { top, pack } = quantiser;
    const quantise = await this.#pipeline(name, quantiseShader(top));
    const packing = pack === null ? null : await this.#pipeline(`pack ${name}`, pack);
    const buffers = this.#buffersOf(name, quantiser);
    const { levels, packed, scales, faults, uniforms, words, staging } = buffers;
    const values = new DataView(new ArrayBuffer(16));
    values.setUint32(0, this.#size, true);
    for (const [index, word] of streamKey(stream.seed, stream.lease, "codec").entries()) values.setUint32(4 + 4 * index, word, true);
    values.setFloat32(12, divisor, true);
    this.#device.queue.writeBuffer(uniforms, 0, values.buffer);
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(faults);
    this.#dispatch(encoder, quantise, [this.#sum, levels, scales, faults, uniforms], workgroupsFor(this.#size, PAIR));
    if (packing !== null) this.#dispatch(encoder, packing, [levels, packed, words], workgroupsFor(packed.size / 4, PACK_THREADS));
    let offset = 0;
    for (const buffer of [faults, scales, packed]) {
      const sizeBytes = Math.min(buffer.size, staging.size - offset);
      encoder.copyBufferToBuffer(buffer, 0, staging, offset, sizeBytes);
      offset += sizeBytes;
    }
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    try {
      return this.#assembled(codec, quantiser, new Uint8Array(staging.getMappedRange()), scales.size);
    } finally {
      staging.unmap();
    }
  }

  dispose(): void {
    this.#sum.destroy();
    this.#more?.destroy();
    for (const buffers of this.#buffers.values()) for (const buffer of Object.values(buffers)) buffer.destroy();
  }

  /** In the codec's own layout: the scales, then the levels right behind them. */
  #assembled(codec: Codec, { packedBytes }: Quantiser, mapped: Uint8Array, scalesAt: number): Encoded {
    const faults = new DataView(mapped.buffer, mapped.byteOffset, 8);
    if (faults.getUint32(0, true) !== 0) return { ok: false, fault: "not-finite", detail: "a value is NaN or infinite" };
    const beyond = faults.getUint32(4, true);
    if (beyond !== 0) return { ok: false, fault: "not-finite", detail: `block ${0xffffffff - beyond} reaches beyond f16` };
    const scaleBytes = 2 * Math.ceil(this.#size / BLOCK);
    const bytes = new Uint8Array(scaleBytes + packedBytes(this.#size));
    bytes.set(mapped.subarray(8, 8 + scaleBytes));
    bytes.set(mapped.subarray(8 + scalesAt, 8 + scalesAt + packedBytes(this.#size)), scaleBytes);
    return { ok: true, bytes: codec.seal?.(bytes, this.#size) ?? bytes };
  }

  #dispatch(encoder: GPUCommandEncoder, pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[], workgroups: number): void {
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(workgroups);
    pass.end();
  }

  #pipeline(name: string, code: string): Promise<GPUComputePipeline> {
    const label = `weft update ${name}`;
    const known = this.#pipelines.get(name);
    if (known !== undefined) return known;
    const module = this.#device.createShaderModule({ code, label });
    const made = this.#device.createComputePipelineAsync({ compute: { module, entryPoint: "main" }, label, layout: "auto" });
    this.#pipelines.set(name, made);
    return made;
  }

  #buffersOf(name: string, { pack, levelsPerWord, packedBytes }: Quantiser): Buffers {
    const known = this.#buffers.get(name);
    if (known !== undefined) return known;
    const storage = (sizeBytes: number, what: string): GPUBuffer => storageBuffer(this.#device, sizeBytes, `${what} of an update`);
    const words = Math.ceil(this.#size / levelsPerWord);
    // Whole pairs of blocks, and as far as the last packed word reads; what no value has stays 0.
    const levels = storage(4 * Math.ceil(Math.max(PAIR * Math.ceil(this.#size / PAIR), levelsPerWord * words) / 4), "levels");
    const uniform = (sizeBytes: number): GPUBuffer =>
      this.#device.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const made: Buffers = {
      levels,
      packed: pack === null ? levels : storage(4 * words, "packed levels"),
      scales: storage(4 * Math.ceil(this.#size / PAIR), "scales"),
      faults: storage(8, "faults"),
      uniforms: uniform(16),
      words: uniform(16),
      staging: this.#device.createBuffer({
        size: 8 + 4 * Math.ceil(this.#size / PAIR) + 4 * Math.ceil(packedBytes(this.#size) / 4),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    };
    this.#device.queue.writeBuffer(made.words, 0, Uint32Array.of(words));
    this.#buffers.set(name, made);
    return made;
  }
}
