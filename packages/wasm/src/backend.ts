// Tensors in linear memory, as TensorFlow.js wants a backend to keep them, and the one door to the kernels: `call`, which notes what it
// does while a step is recorded. Knows no kernel's meaning.
import * as tf from "@tensorflow/tfjs-core";
import { Arena } from "./arena.ts";
import type { Command, Instance } from "./instance.ts";
import type { KernelFunction } from "./kernel-functions.ts";

export type ElementType = "float32" | "int32";

interface Entry {
  readonly at: number;
  readonly size: number;
  readonly dtype: ElementType;
  /** Whose block it is; null: memory of somebody else's. */
  readonly arena: Arena | null;
  references: number;
}

/** A stretch of work whose commands are noted and whose memory is kept for it alone. */
interface Recording {
  readonly commands: Command[];
  readonly arena: Arena;
  /** Where values lie that were written from outside: no command may write there, before or after, since no replay writes them again. */
  readonly constants: number[];
}

export const elementTypeOf = (dtype: tf.DataType): ElementType => {
  if (dtype === "float32" || dtype === "int32") return dtype;
  throw new Error(`The WASM backend keeps float32 and int32, not ${dtype}`);
};

export class WasmBackend extends tf.KernelBackend {
  readonly instance: Instance;
  /** In TensorFlow.js's registry. */
  readonly name: string;
  readonly #arena: Arena;
  readonly #entries = new Map<tf.DataId, Entry>();
  readonly #matmulScratch: number;
  #recording: Recording | null = null;

  constructor(instance: Instance, name: string) {
    super();
    this.name = name;
    this.instance = instance;
    this.#arena = new Arena((sizeBytes) => instance.extend(sizeBytes));
    this.#matmulScratch = this.#arena.allocate(instance.matmulScratchBytes);
  }

  /** Where matrix products work; they take turns. */
  get matmulScratch(): number {
    return this.#matmulScratch;
  }

  call(name: KernelFunction, ...args: readonly (number | boolean)[]): void {
    const command = this.instance.command(name, args.map(Number));
    this.#recording?.commands.push(command);
    this.instance.run(command);
  }

  /** Memory for the time of `work`, which makes calls alone. */
  withScratch(sizeBytes: number, work: (at: number) => void): void {
    const arena = this.#current;
    const at = arena.allocate(sizeBytes);
    work(at);
    arena.release(at);
  }

  addressOf({ dataId }: tf.TensorInfo): number {
    return this.#entry(dataId).at;
  }

  /** A tensor whose values a kernel will write. */
  output(shape: readonly number[], dtype: tf.DataType = "float32"): tf.TensorInfo {
    const size = tf.util.sizeFromShape([...shape]);
    const dataId = this.#enter(size, elementTypeOf(dtype), this.#current.allocate(4 * size), this.#current);
    return { dataId, shape: [...shape], dtype };
  }

  /** The same data in another shape. */
  alias({ dataId, dtype }: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
    this.incRef(dataId);
    return { dataId, shape: [...shape], dtype };
  }

  /** A tensor on memory that stays the caller's. */
  wrap(at: number, shape: readonly number[], dtype: ElementType): tf.Tensor {
    const dataId = this.#enter(tf.util.sizeFromShape([...shape]), dtype, at, null);
    return tf.engine().makeTensorFromDataId(dataId, [...shape], dtype, this);
  }

  /** Memory of the caller's, until `release`. */
  allocate(sizeBytes: number): number {
    return this.#arena.allocate(sizeBytes);
  }

  release(at: number): void {
    this.#arena.release(at);
  }

  /** Runs `work`, notes its calls, and keeps the memory that it takes: what it computes may be computed again at the same places. */
  record<T>(work: () => T): { readonly value: T; readonly commands: readonly Command[]; readonly release: () => void } {
    if (this.#recording !== null) throw new Error("A recording within a recording");
    const arena = new Arena((sizeBytes) => this.#arena.allocate(sizeBytes));
    const recording: Recording = { commands: [], arena, constants: [] };
    const release = (): void => {
      for (const at of [...arena.sourced, ...recording.constants]) this.#arena.release(at);
    };
    this.#recording = recording;
    try {
      return { value: work(), commands: recording.commands, release };
    } catch (error) {
      release();
      throw error;
    } finally {
      this.#recording = null;
    }
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: tf.DataId, values: tf.BackendValues, shape: number[], dtype: tf.DataType, references: number): void {
    const type = elementTypeOf(dtype);
    const size = tf.util.sizeFromShape(shape);
    const at = this.#arena.allocate(4 * size);
    this.#recording?.constants.push(at);
    this.#enter(size, type, at, this.#recording === null ? this.#arena : null, dataId, references);
    this.#view(this.#entry(dataId)).set(values as Float32Array);
  }

  override async read(dataId: tf.DataId): Promise<tf.BackendValues> {
    return this.readSync(dataId);
  }

  override readSync(dataId: tf.DataId): Float32Array | Int32Array {
    if (this.#recording !== null) throw new Error("A step that is recorded cannot depend on values that were read back");
    return this.#view(this.#entry(dataId)).slice();
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    const entry = this.#entries.get(dataId);
    if (entry === undefined) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.#entries.delete(dataId);
    entry.arena?.release(entry.at);
    return true;
  }

  override incRef(dataId: tf.DataId): void {
    this.#entry(dataId).references++;
  }

  override refCount(dataId: tf.DataId): number {
    return this.#entries.get(dataId)?.references ?? 0;
  }

  override numDataIds(): number {
    return this.#entries.size;
  }

  /** `numBytesUsed`: what tensors and recordings hold; `numBytesAllocated`: what the linear memory has. */
  override memory(): { unreliable: boolean; numBytesUsed: number; numBytesAllocated: number } {
    return { unreliable: false, numBytesUsed: this.#arena.usedBytes, numBytesAllocated: this.instance.sizeBytes };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return false;
  }

  /** By TensorFlow.js when it is registered no more. */
  override dispose(): void {
    this.#entries.clear();
    this.instance.close();
  }

  get #current(): Arena {
    return this.#recording?.arena ?? this.#arena;
  }

  #enter(size: number, dtype: ElementType, at: number, arena: Arena | null, dataId: tf.DataId = {}, references = 1): tf.DataId {
    this.#entries.set(dataId, { at, size, dtype, arena, references });
    return dataId;
  }

  #entry(dataId: tf.DataId): Entry {
    const entry = this.#entries.get(dataId);
    if (entry === undefined) throw new Error("The WASM backend has no such tensor");
    return entry;
  }

  #view({ at, size, dtype }: Entry): Float32Array | Int32Array {
    return dtype === "int32" ? this.instance.i32(at, size) : this.instance.f32(at, size);
  }
}
