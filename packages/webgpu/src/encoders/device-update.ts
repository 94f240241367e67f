// An update that stays on the device: the gradients of a lease are added up there, or weights are taken from weights, and only packed bytes
// are read back, with what else is wanted in the same map. Quantises and packs as the codecs of @weft/tensors do on the CPU; what those do
// with packed bytes beyond that (entropy coding) is not done here. Knows no model and no TensorFlow.js; what TensorFlow.js still holds must
// have been handed to the queue before.
import { type CodecStream, type Encoded, streamKey } from "@weft/tensors";
import { type Source, storageBuffer } from "../buffer-tensors.ts";
import { workgroupsFor } from "../launch.ts";
import { mapped } from "../mapped.ts";
import { COMBINE_THREADS, type DeviceEncoder } from "./device-encoder.ts";
import { PACK_THREADS, PAIR } from "./quantise.ts";

const BLOCK = 256;
/** Before the packed bytes: what was found that cannot be encoded. */
const FAULT_BYTES = 8;

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: number;
}

export interface PackedUpdate {
  /** The codec's own bytes, not sealed; or that it refuses the update: NaN, infinities, and blocks beyond f16. */
  readonly encoded: Encoded;
  readonly alongside: Float32Array;
}

export class DeviceUpdate {
  readonly #device: GPUDevice;
  readonly #encoder: DeviceEncoder;
  readonly #size: number;
  readonly #buffers: Readonly<Record<"sum" | "more" | "levels" | "packed" | "scales" | "faults" | "uniforms" | "words", GPUBuffer>>;
  readonly #combine: Readonly<Record<"add" | "subtract", Dispatch>>;
  readonly #encode: readonly Dispatch[];
  #staging: GPUBuffer;
  #parts = 0;

  /** Of `size` values, at least one. */
  constructor(device: GPUDevice, encoder: DeviceEncoder, size: number) {
    this.#device = device;
    this.#encoder = encoder;
    this.#size = size;
    const { levelsPerWord } = encoder.quantiser;
    const storage = (sizeBytes: number, what: string): GPUBuffer => storageBuffer(device, sizeBytes, `${what} of an update`);
    const uniform = (): GPUBuffer => device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const words = Math.ceil(size / levelsPerWord);
    // Whole pairs of blocks, and as far as the last packed word reads; what no value has stays 0.
    const levels = storage(4 * Math.ceil(Math.max(PAIR * Math.ceil(size / PAIR), levelsPerWord * words) / 4), "levels");
    const buffers = {
      sum: storage(4 * size, "sum"),
      more: storage(4 * size, "part"),
      levels,
      packed: encoder.pack === null ? levels : storage(4 * words, "packed levels"),
      scales: storage(4 * Math.ceil(size / PAIR), "scales"),
      faults: storage(FAULT_BYTES, "faults"),
      uniforms: uniform(),
      words: uniform(),
    };
    this.#buffers = buffers;
    device.queue.writeBuffer(buffers.words, 0, Uint32Array.of(words));
    const dispatch = (pipeline: GPUComputePipeline, bound: readonly GPUBuffer[], workgroups: number): Dispatch => {
      const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
      return { pipeline, workgroups, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
    };
    const { sum, more, packed, scales, faults, uniforms } = buffers;
    const combined = workgroupsFor(size, COMBINE_THREADS);
    this.#combine = {
      add: dispatch(encoder.add, [sum, more], combined),
      subtract: dispatch(encoder.subtract, [sum, more], combined),
    };
    this.#encode = [
      dispatch(encoder.quantise, [sum, levels, scales, faults, uniforms], workgroupsFor(size, PAIR)),
      ...(encoder.pack === null ? [] : [dispatch(encoder.pack, [levels, packed, buffers.words], workgroupsFor(words, PACK_THREADS))]),
    ];
    this.#staging = this.#stagingOf(this.#packedBytes);
  }

  /** Adds f32 values that lie in `sources` one behind the other, as many as the update has. They may change as soon as this returns. */
  add(sources: readonly Source[]): void {
    this.#take(sources, this.#parts === 0 ? null : this.#combine.add);
  }

  /** Takes them away from what was added. */
  subtract(sources: readonly Source[]): void {
    if (this.#parts === 0) throw new Error("subtract before add");
    this.#take(sources, this.#combine.subtract);
  }

  /** The next `add` begins anew. */
  clear(): void {
    this.#parts = 0;
  }

  /**
   * The sum divided by `divisor`, a positive whole number, encoded; and f32 values that lie `alongside`. One map. Rejects when the device is
   * lost meanwhile. Calls are made one after another.
   */
  async pack(divisor: number, stream: CodecStream, alongside: readonly Source[] = []): Promise<PackedUpdate> {
    if (this.#parts === 0) throw new Error("pack before add");
    const { faults, scales, packed, uniforms } = this.#buffers;
    const values = new DataView(new ArrayBuffer(16));
    values.setUint32(0, this.#size, true);
    for (const [index, word] of streamKey(stream.seed, stream.lease, "codec").entries()) values.setUint32(4 + 4 * index, word, true);
    values.setFloat32(12, divisor, true);
    this.#device.queue.writeBuffer(uniforms, 0, values.buffer);
    const total = alongside.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, this.#packedBytes);
    if (this.#staging.size < total) {
      this.#staging.destroy();
      this.#staging = this.#stagingOf(2 * total);
    }
    const staging = this.#staging;
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(faults);
    run(encoder, this.#encode);
    let offset = 0;
    const own = [faults, scales].map((buffer) => ({ buffer, offsetBytes: 0, sizeBytes: buffer.size }));
    const levels = { buffer: packed, offsetBytes: 0, sizeBytes: this.#levelBytes };
    for (const { buffer, offsetBytes, sizeBytes } of [...own, levels, ...alongside]) {
      encoder.copyBufferToBuffer(buffer, offsetBytes, staging, offset, sizeBytes);
      offset += sizeBytes;
    }
    this.#device.queue.submit([encoder.finish()]);
    await mapped(this.#device.queue, staging, total);
    try {
      const bytes = staging.getMappedRange(0, total);
      return { encoded: this.#assembled(bytes), alongside: new Float32Array(bytes.slice(this.#packedBytes)) };
    } finally {
      staging.unmap();
    }
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
    this.#staging.destroy();
  }

  /** Of packed levels, in whole words. */
  get #levelBytes(): number {
    return 4 * Math.ceil(this.#encoder.quantiser.packedBytes(this.#size) / 4);
  }
  /** Of all that is read back but what lies alongside. */
  get #packedBytes(): number {
    return FAULT_BYTES + this.#buffers.scales.size + this.#levelBytes;
  }

  #take(sources: readonly Source[], combine: Dispatch | null): void {
    const total = sources.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    if (total !== 4 * this.#size) throw new Error(`${total / 4} values for an update of ${this.#size}`);
    const encoder = this.#device.createCommandEncoder();
    const into = combine === null ? this.#buffers.sum : this.#buffers.more;
    let offset = 0;
    for (const { buffer, offsetBytes, sizeBytes } of sources) {
      encoder.copyBufferToBuffer(buffer, offsetBytes, into, offset, sizeBytes);
      offset += sizeBytes;
    }
    if (combine !== null) run(encoder, [combine]);
    this.#device.queue.submit([encoder.finish()]);
    this.#parts += 1;
  }

  /** In the codec's own layout: the scales, then the levels right behind them. */
  #assembled(mapped: ArrayBuffer): Encoded {
    const faults = new DataView(mapped, 0, FAULT_BYTES);
    if (faults.getUint32(0, true) !== 0) return { ok: false, fault: "not-finite", detail: "a value is NaN or infinite" };
    const beyond = faults.getUint32(4, true);
    if (beyond !== 0) return { ok: false, fault: "not-finite", detail: `block ${0xffffffff - beyond} reaches beyond f16` };
    const scaleBytes = 2 * Math.ceil(this.#size / BLOCK);
    const levelBytes = this.#encoder.quantiser.packedBytes(this.#size);
    const bytes = new Uint8Array(scaleBytes + levelBytes);
    bytes.set(new Uint8Array(mapped, FAULT_BYTES, scaleBytes));
    bytes.set(new Uint8Array(mapped, FAULT_BYTES + this.#buffers.scales.size, levelBytes), scaleBytes);
    return { ok: true, bytes };
  }

  #stagingOf(sizeBytes: number): GPUBuffer {
    return this.#device.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }
}

function run(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
  const pass = encoder.beginComputePass();
  for (const { pipeline, group, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(workgroups);
  }
  pass.end();
}
