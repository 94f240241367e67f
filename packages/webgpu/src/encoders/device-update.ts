// An update that stays on the device: the gradients of a lease are added up there, or weights are taken from weights, and only packed bytes
// are read back, with what else is wanted in the same map. Encodes as the codecs of @weft/tensors do on the CPU; what those do with packed
// bytes beyond that (entropy coding) is not done here. Of codecs with error feedback, what is left unsaid is kept by whoever encodes: it is given
// before each encoding and read after it, in its own time, so that nothing is lost with a device. Knows no model and no TensorFlow.js; what
// TensorFlow.js still holds must have been handed to the queue before.
import { type CodecStream, type Encoded, streamKey } from "@weft/tensors";
import { type Source, storageBuffer } from "../buffer-tensors.ts";
import { workgroupsFor } from "../launch.ts";
import { mapped } from "../mapped.ts";
import { COMBINE_THREADS } from "./combine.ts";
import type { DeviceEncoder } from "./device-encoder.ts";
import type { Encoding } from "./forms.ts";

/** Before the packed bytes: what was found that cannot be encoded. */
const FAULT_BYTES = 8;

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: number;
}

interface Feedback {
  /** By what a residual is multiplied before it is said. */
  readonly beta: number;
  /** What is to be said beside the update, and afterwards what is left unsaid. */
  readonly residual: GPUBuffer;
  readonly staging: GPUBuffer;
}

export interface PackedUpdate {
  /** The codec's own bytes, not sealed; or that it refuses the update: NaN, infinities, and blocks beyond f16. */
  readonly encoded: Encoded;
  readonly alongside: Float32Array;
}

export class DeviceUpdate {
  readonly #device: GPUDevice;
  readonly #size: number;
  readonly #all: GPUBuffer[] = [];
  readonly #sum: GPUBuffer;
  readonly #more: GPUBuffer;
  readonly #faults: GPUBuffer;
  readonly #uniforms: GPUBuffer;
  readonly #feedback: Feedback | null;
  readonly #add: Dispatch;
  readonly #subtract: Dispatch;
  readonly #stages: readonly Dispatch[];
  readonly #encoding: Encoding;
  #staging: GPUBuffer;
  #parts = 0;
  /** A residual was given for the next encoding. */
  #given = false;
  /** Resolves when the rest that was asked for last is read. */
  #rest: Promise<unknown> = Promise.resolve();

  /** Of `size` values, at least one. */
  constructor(device: GPUDevice, { form, pipelines }: DeviceEncoder, size: number) {
    this.#device = device;
    this.#size = size;
    const storage = (sizeBytes: number, what: string): GPUBuffer => this.#own(storageBuffer(device, sizeBytes, `${what} of an update`));
    const uniforms = (): GPUBuffer => this.#own(device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST }));
    const uniform = (word: number): GPUBuffer => {
      const buffer = uniforms();
      device.queue.writeBuffer(buffer, 0, Uint32Array.of(word));
      return buffer;
    };
    const dispatch = (pipeline: GPUComputePipeline, bound: readonly GPUBuffer[], workgroups: number): Dispatch => {
      const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
      return { pipeline, workgroups, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
    };
    this.#sum = storage(4 * size, "sum");
    this.#more = storage(4 * size, "part");
    this.#faults = storage(FAULT_BYTES, "faults");
    this.#uniforms = uniforms();
    this.#feedback =
      form.feedback === null ? null : { beta: form.feedback, residual: storage(4 * size, "residual"), staging: this.#stagingOf(4 * size) };
    const residual = this.#feedback?.residual ?? null;
    const given = { values: this.#sum, residual, faults: this.#faults, uniforms: this.#uniforms };
    this.#encoding = form.lay(size, { ...given, storage, uniform });
    const each = workgroupsFor(size, COMBINE_THREADS);
    this.#add = dispatch(pipelines.add, [this.#sum, this.#more], each);
    this.#subtract = dispatch(pipelines.subtract, [this.#sum, this.#more], each);
    this.#stages = [
      ...(pipelines.feedback === null || residual === null
        ? []
        : [dispatch(pipelines.feedback, [this.#sum, residual, this.#uniforms], each)]),
      ...this.#encoding.stages.map(({ shader, bound, workgroups }) =>
        dispatch(pipelines.stages[shader] as GPUComputePipeline, bound, workgroups),
      ),
    ];
    this.#staging = this.#stagingOf(this.#packedBytes);
  }

  /** Adds f32 values that lie in `sources` one behind the other, as many as the update has. They may change as soon as this returns. */
  add(sources: readonly Source[]): void {
    this.#take(sources, this.#parts === 0 ? null : this.#add);
  }

  /** Takes them away from what was added. */
  subtract(sources: readonly Source[]): void {
    if (this.#parts === 0) throw new Error("subtract before add");
    this.#take(sources, this.#subtract);
  }

  /** The next `add` begins anew. */
  clear(): void {
    this.#parts = 0;
    this.#given = false;
  }

  /** What encodings before left unsaid is said with the next one; without it that begins with nothing. Of codecs with error feedback. */
  give(residual: Float32Array): void {
    const { beta, residual: buffer } = this.#withFeedback();
    if (residual.length !== this.#size) throw new Error(`A residual of ${residual.length} values for an update of ${this.#size}`);
    // Multiplied here: a device might round the product and the sum as one, and choose other values than the processor.
    const scaled = new Float32Array(residual.length);
    for (let at = 0; at < scaled.length; at++) scaled[at] = beta * (residual[at] as number);
    this.#device.queue.writeBuffer(buffer, 0, scaled);
    this.#given = true;
  }

  /**
   * The sum divided by `divisor`, a positive whole number, and what is left of a residual, encoded; and f32 values that lie `alongside`.
   * One map. The next `add` begins anew. Rejects when the device is lost meanwhile. Calls are made one after another.
   */
  async pack(divisor: number, stream: CodecStream, alongside: readonly Source[] = []): Promise<PackedUpdate> {
    if (this.#parts === 0) throw new Error("pack before add");
    const isGiven = this.#given;
    this.clear();
    // Into whose staging the next will be copied.
    await this.#rest;
    const values = new DataView(new ArrayBuffer(16));
    values.setUint32(0, this.#size, true);
    for (const [index, word] of streamKey(stream.seed, stream.lease, "codec").entries()) values.setUint32(4 + 4 * index, word, true);
    values.setFloat32(12, divisor, true);
    this.#device.queue.writeBuffer(this.#uniforms, 0, values.buffer);
    const encoder = this.#device.createCommandEncoder();
    for (const buffer of [this.#faults, ...this.#encoding.zeroed]) encoder.clearBuffer(buffer);
    if (this.#feedback !== null && !isGiven) encoder.clearBuffer(this.#feedback.residual);
    run(encoder, this.#stages);
    const faults = { buffer: this.#faults, offsetBytes: 0, sizeBytes: FAULT_BYTES };
    const parts = this.#encoding.parts.map(({ buffer, sizeBytes }) => ({ buffer, offsetBytes: 0, sizeBytes: wholeWords(sizeBytes) }));
    return this.#read(encoder, [faults, ...parts, ...alongside], (bytes) => ({
      encoded: this.#assembled(bytes),
      alongside: new Float32Array(bytes.slice(this.#packedBytes)),
    }));
  }

  /**
   * What was packed last does not say, if nothing was added since; of codecs with error feedback. In a map of its own, for which nobody need
   * wait: what is done meanwhile, `dispose` too, changes nothing of it. Null where the device is lost. Never rejects.
   */
  rest(): Promise<Float32Array | null> {
    const { residual, staging } = this.#withFeedback();
    this.#submit((encoder) => copyAll(encoder, [{ buffer: residual, offsetBytes: 0, sizeBytes: residual.size }], staging));
    const rest = mapped(this.#device.queue, staging, residual.size)
      .then(() => {
        try {
          return new Float32Array(staging.getMappedRange().slice(0));
        } finally {
          staging.unmap();
        }
      })
      .catch(() => null);
    this.#rest = rest;
    return rest;
  }

  dispose(): void {
    for (const buffer of this.#all) buffer.destroy();
    this.#staging.destroy();
    void this.#rest.then(() => this.#feedback?.staging.destroy());
  }

  /** Of all that is read back but what lies alongside. */
  get #packedBytes(): number {
    return this.#encoding.parts.reduce((sum, { sizeBytes }) => sum + wholeWords(sizeBytes), FAULT_BYTES);
  }

  #withFeedback(): Feedback {
    if (this.#feedback === null) throw new Error("The codec has no error feedback");
    return this.#feedback;
  }

  #own(buffer: GPUBuffer): GPUBuffer {
    this.#all.push(buffer);
    return buffer;
  }

  #submit(record: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#device.createCommandEncoder();
    record(encoder);
    this.#device.queue.submit([encoder.finish()]);
  }

  #take(sources: readonly Source[], combine: Dispatch | null): void {
    const total = sources.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    if (total !== 4 * this.#size) throw new Error(`${total / 4} values for an update of ${this.#size}`);
    this.#submit((encoder) => {
      copyAll(encoder, sources, combine === null ? this.#sum : this.#more);
      if (combine !== null) run(encoder, [combine]);
    });
    this.#parts += 1;
  }

  /** What lies in `sources`, one behind the other, after what `encoder` was told. */
  async #read<T>(encoder: GPUCommandEncoder, sources: readonly Source[], parse: (bytes: ArrayBuffer) => T): Promise<T> {
    const total = sources.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    if (this.#staging.size < total) {
      this.#staging.destroy();
      this.#staging = this.#stagingOf(total);
    }
    const staging = this.#staging;
    copyAll(encoder, sources, staging);
    this.#device.queue.submit([encoder.finish()]);
    await mapped(this.#device.queue, staging, total);
    try {
      return parse(staging.getMappedRange(0, total));
    } finally {
      staging.unmap();
    }
  }

  /** In the codec's own layout: its parts right behind one another. */
  #assembled(mapped: ArrayBuffer): Encoded {
    const faults = new DataView(mapped, 0, FAULT_BYTES);
    if (faults.getUint32(0, true) !== 0) return { ok: false, fault: "not-finite", detail: "a value is NaN or infinite" };
    const beyond = faults.getUint32(4, true);
    if (beyond !== 0) return { ok: false, fault: "not-finite", detail: `block ${0xffffffff - beyond} reaches beyond f16` };
    const { parts } = this.#encoding;
    const bytes = new Uint8Array(parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    let [from, to] = [FAULT_BYTES, 0];
    for (const { sizeBytes } of parts) {
      bytes.set(new Uint8Array(mapped, from, sizeBytes), to);
      from += wholeWords(sizeBytes);
      to += sizeBytes;
    }
    return { ok: true, bytes };
  }

  #stagingOf(sizeBytes: number): GPUBuffer {
    return this.#device.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }
}

/** What is copied on a device is a multiple of four bytes. */
const wholeWords = (sizeBytes: number): number => 4 * Math.ceil(sizeBytes / 4);

function copyAll(encoder: GPUCommandEncoder, sources: readonly Source[], into: GPUBuffer): void {
  let offset = 0;
  for (const { buffer, offsetBytes, sizeBytes } of sources) {
    encoder.copyBufferToBuffer(buffer, offsetBytes, into, offset, sizeBytes);
    offset += sizeBytes;
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
