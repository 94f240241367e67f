// A computation of fixed shapes, recorded once and replayed: TensorFlow.js runs it the first time and every command it gives the device is
// noted; afterwards the commands are encoded again, without TensorFlow.js. Inputs must be tensors on buffers of ours (their contents are
// what changes); whatever TensorFlow.js computes on the CPU meanwhile is frozen. Knows no model.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import { type Source, sourceOf } from "./buffer-tensors.ts";

type BufferManager = WebGPUBackend["bufferManager"];

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}
interface Copy {
  readonly from: GPUBuffer;
  readonly fromBytes: number;
  readonly to: GPUBuffer;
  readonly toBytes: number;
  readonly sizeBytes: number;
}
type Command = Dispatch | Copy;

/** A GPU cannot be interrupted: longer command buffers are felt by whoever sits in front of it. */
const MAX_DISPATCHES_PER_SUBMIT = 16;

export class Tape {
  readonly outputs: readonly Source[];
  readonly dispatches: number;
  readonly #backend: WebGPUBackend;
  readonly #commands: readonly Command[];
  readonly #pool: PrivatePool;

  private constructor(backend: WebGPUBackend, commands: readonly Command[], pool: PrivatePool, outputs: readonly Source[]) {
    this.#backend = backend;
    this.#commands = commands;
    this.#pool = pool;
    this.outputs = outputs;
    this.dispatches = commands.filter((command) => "pipeline" in command).length;
    pool.account(1);
  }

  /** Runs `run` on the device, which leaves its results in `outputs`, and notes how. Its pipelines must have been compiled. */
  static record(backend: WebGPUBackend, run: () => readonly tf.Tensor[]): Tape {
    const commands: Command[] = [];
    const stop = noteCommands(backend.device, commands);
    const pool = new PrivatePool(backend);
    try {
      const outputs = pool.during(() => {
        const tensors = run();
        const sources = tensors.map((tensor) => sourceOf(backend, tensor));
        tf.dispose([...tensors]);
        return sources;
      });
      return new Tape(backend, commands, pool, outputs);
    } catch (error) {
      pool.destroy();
      throw error;
    } finally {
      stop();
    }
  }

  /** Computes the outputs anew from what the inputs hold now. `after` may add copies to the last submit: each costs a word to the GPU's
   *  process, which takes longer than to encode all the commands. */
  replay(after: (encoder: GPUCommandEncoder) => void = () => undefined): void {
    const { device, queue } = this.#backend;
    flush(this.#backend);
    let encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | null = null;
    let dispatches = 0;
    for (const command of this.#commands) {
      if ("pipeline" in command) {
        if (dispatches === MAX_DISPATCHES_PER_SUBMIT) {
          pass?.end();
          pass = null;
          queue.submit([encoder.finish()]);
          encoder = device.createCommandEncoder();
          dispatches = 0;
        }
        pass ??= encoder.beginComputePass();
        pass.setPipeline(command.pipeline);
        pass.setBindGroup(0, command.group);
        pass.dispatchWorkgroups(...command.workgroups);
        dispatches++;
      } else {
        pass?.end();
        pass = null;
        encoder.copyBufferToBuffer(command.from, command.fromBytes, command.to, command.toBytes, command.sizeBytes);
      }
    }
    pass?.end();
    after(encoder);
    queue.submit([encoder.finish()]);
  }

  dispose(): void {
    this.#pool.account(-1);
    this.#pool.destroy();
  }
}

/** Runs `run`, which must leave no tensor behind, without leaving its buffers in TensorFlow.js's pool, which is never emptied. */
export function withoutPooling(backend: WebGPUBackend, run: () => void): void {
  const pool = new PrivatePool(backend);
  try {
    pool.during(run);
  } finally {
    pool.destroy();
  }
}

/** Hands the commands that TensorFlow.js still holds to the queue, and disposed tensors' buffers to the pool. */
export function flush(backend: WebGPUBackend): void {
  if ((backend as unknown as { readonly commandEncoder: GPUCommandEncoder | null }).commandEncoder === null) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** Stands in for TensorFlow.js's pool for a while. Intermediate results share buffers as usual; a buffer that was written from the CPU
 *  (constants, uniforms) is given to nobody else, since no replay writes it again. */
class PrivatePool {
  readonly #backend: WebGPUBackend;
  readonly #manager: BufferManager;
  readonly #all: GPUBuffer[] = [];
  #sizeBytes = 0;

  constructor(backend: WebGPUBackend) {
    this.#backend = backend;
    const { device, bufferManager } = backend;
    this.#manager = new (bufferManager.constructor as new (device: GPUDevice) => BufferManager)(device);
    const written = new Set<GPUBuffer>();
    const acquire = this.#manager.acquireBuffer.bind(this.#manager);
    const release = this.#manager.releaseBuffer.bind(this.#manager);
    const create = (size: number, usage: GPUBufferUsageFlags, mappedAtCreation: boolean): GPUBuffer => {
      const buffer = device.createBuffer({ size, usage, mappedAtCreation });
      written.add(buffer);
      this.#all.push(buffer);
      this.#sizeBytes += size;
      return buffer;
    };
    this.#manager.acquireBuffer = (size, usage, mappedAtCreation = false) => {
      if (mappedAtCreation || (usage & GPUBufferUsage.UNIFORM) !== 0) return create(size, usage, mappedAtCreation);
      const before = this.#manager.numBytesAllocated;
      const buffer = acquire(size, usage);
      if (this.#manager.numBytesAllocated > before) {
        this.#all.push(buffer);
        this.#sizeBytes += size;
      }
      return buffer;
    };
    this.#manager.releaseBuffer = (buffer) => {
      if (!written.has(buffer)) release(buffer);
    };
  }

  during<T>(run: () => T): T {
    const own = this.#backend.bufferManager;
    flush(this.#backend);
    this.#backend.bufferManager = this.#manager;
    try {
      return run();
    } finally {
      flush(this.#backend);
      this.#backend.bufferManager = own;
    }
  }

  /** Enters the buffers in what TensorFlow.js says of the device's memory, or takes them out. */
  account(sign: 1 | -1): void {
    this.#backend.bufferManager.numBytesUsed += sign * this.#sizeBytes;
    this.#backend.bufferManager.numBytesAllocated += sign * this.#sizeBytes;
  }

  destroy(): void {
    for (const buffer of this.#all) buffer.destroy();
  }
}

/** Notes what encoders made from now on are told, until the returned function is called. */
function noteCommands(device: GPUDevice, commands: Command[]): () => void {
  const prototype = GPUCommandEncoder.prototype;
  device.createCommandEncoder = (descriptor) => {
    const encoder = GPUDevice.prototype.createCommandEncoder.call(device, descriptor);
    encoder.beginComputePass = (passDescriptor) => {
      const pass = prototype.beginComputePass.call(encoder, passDescriptor);
      notePass(pass, commands);
      return pass;
    };
    const copy = (from: GPUBuffer, fromBytes: number, to: GPUBuffer, toBytes: number, sizeBytes: number): void => {
      commands.push({ from, fromBytes, to, toBytes, sizeBytes });
      Reflect.apply(prototype.copyBufferToBuffer, encoder, [from, fromBytes, to, toBytes, sizeBytes]);
    };
    encoder.copyBufferToBuffer = copy as GPUCommandEncoder["copyBufferToBuffer"];
    return encoder;
  };
  return () => {
    delete (device as Partial<Pick<GPUDevice, "createCommandEncoder">>).createCommandEncoder;
  };
}

function notePass(pass: GPUComputePassEncoder, commands: Command[]): void {
  const prototype = GPUComputePassEncoder.prototype;
  let pipeline: GPUComputePipeline | null = null;
  let group: GPUBindGroup | null = null;
  pass.setPipeline = (next) => {
    pipeline = next;
    prototype.setPipeline.call(pass, next);
  };
  pass.setBindGroup = ((index: number, next: GPUBindGroup) => {
    if (index !== 0) throw new Error("A tape knows bind groups of index 0 alone");
    group = next;
    Reflect.apply(prototype.setBindGroup, pass, [0, next]);
  }) as GPUComputePassEncoder["setBindGroup"];
  pass.dispatchWorkgroups = (x, y = 1, z = 1) => {
    if (pipeline === null || group === null) throw new Error("A dispatch without pipeline or bind group");
    commands.push({ pipeline, group, workgroups: [x, y, z] });
    prototype.dispatchWorkgroups.call(pass, x, y, z);
  };
  pass.dispatchWorkgroupsIndirect = () => {
    throw new Error("A tape knows no indirect dispatches");
  };
}
