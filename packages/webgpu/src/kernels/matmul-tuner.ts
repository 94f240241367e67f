// Finds the fastest tiling for each class of matrix products on a device, by measuring, and remembers it. A tiling that the device does not
// compile, or with which it computes wrong numbers, is struck: it is not tried again on this adapter until its text changes.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { f16Nearest } from "@weft/tensors";
import type { KernelMemory } from "../kernel-memory.ts";
import { compile, type Kernel, shaderOf } from "../launch.ts";
import { choicesOf, type Shape } from "./matmul-choices.ts";
import { matmulKernel, TILE } from "./matmul-shader.ts";
import { HALF_TILINGS, type Layout, type Tiling, tileOf, WIDE_TILINGS, wideMatmulKernel } from "./matmul-wide.ts";

export interface TuningOptions {
  readonly memory: KernelMemory;
  /** From `adapterKey`. */
  readonly adapter: string;
  /** No new measurement is begun after this; what is left keeps the kernel for any extents until the next time. */
  readonly budgetMs: number;
  readonly now: () => number;
  /** For tests: others than those of this package. */
  readonly kernelOf?: (tiling: Tiling, layout: Layout) => Kernel;
}
export interface Struck {
  readonly kernel: string;
  readonly reason: string;
}

const ANY = "any";
/** The best of several runs: what else the machine does only ever makes them longer. */
const RUNS = 3;
/** Long enough to be timed, short enough not to be felt by whoever sits in front of the GPU. */
const RUN_MS = 8;
const MOST_DISPATCHES = 16;
/** Values of each product that are held against f64. */
const PROBES = 96;
const UNIT = 2 ** -24;
/** Unit roundoff of f16, by which both factors may be off. */
const HALF_UNIT = 2 ** -11;

/** Decides every class of shapes that the choices of `backend` want. Answers which tilings were struck now, and why. */
export async function tuneMatmul(backend: WebGPUBackend, options: TuningOptions): Promise<readonly Struck[]> {
  const { memory, adapter, budgetMs, now, kernelOf = (tiling, layout) => wideMatmulKernel(tiling, layout, "linear") } = options;
  const choices = choicesOf(backend);
  const untilMs = now() + budgetMs;
  const struck: Struck[] = [];
  for (const [className, shape] of [...choices.wanted]) {
    const tilings = (shape.packed === true ? HALF_TILINGS : WIDE_TILINGS).filter((tiling) => fits(backend.device, tiling));
    const kernels = tilings.map((tiling) => ({ tiling, kernel: kernelOf(tiling, shape) }));
    const key = `matmul ${revisionOf(kernels.map(({ kernel }) => kernel))} ${className} ${adapter}`;
    const known = await memory.get(key);
    const remembered = known === ANY ? null : tilings.find(({ name }) => name === known);
    if (remembered !== undefined) {
      choices.choose(className, remembered);
      continue;
    }
    if (now() > untilMs) break;
    const bench = new Bench(backend, shape, now);
    try {
      let best: { readonly tiling: Tiling | null; readonly ms: number } = {
        tiling: null,
        ms: await bench.time(anyKernel(shape), null),
      };
      for (const { tiling, kernel } of kernels) {
        const strikeKey = `struck ${revisionOf([kernel])} ${kernel.name} ${adapter}`;
        if ((await memory.get(strikeKey)) !== null) continue;
        const reason = await compile(backend, kernel).then(
          () => bench.fault(kernel, tiling),
          (error: unknown) => compileFault(error),
        );
        if (reason === null) {
          const ms = await bench.time(kernel, tiling);
          if (ms < best.ms) best = { tiling, ms };
        } else {
          struck.push({ kernel: kernel.name, reason });
          await memory.set(strikeKey, reason);
        }
      }
      choices.choose(className, best.tiling);
      await memory.set(key, best.tiling?.name ?? ANY);
    } finally {
      bench.dispose();
    }
  }
  return struck;
}

/** A shader that does not compile is the tiling's fault; any other fault, such as a lost device, is not ours to judge. */
function compileFault(error: unknown): string {
  if (error instanceof Error && error.name === "GPUPipelineError") return `does not compile: ${error.message.slice(0, 200)}`;
  throw error;
}

/** The kernel for any extents. */
const anyKernel = ({ packed }: Shape): Kernel =>
  packed === true ? matmulKernel("f16", "f16", "linear") : matmulKernel("f32", "f32", "linear");

function fits({ limits }: GPUDevice, tiling: Tiling): boolean {
  const [tileRows, tileColumns] = tileOf(tiling);
  const bytes = tiling.staging === "memory" ? 0 : (tileRows + tileColumns) * 16 * (tiling.factors === "f16" ? 2 : 4);
  return (
    tiling.threads[0] * tiling.threads[1] <= limits.maxComputeInvocationsPerWorkgroup && bytes <= limits.maxComputeWorkgroupStorageSize
  );
}

/** A product of one shape on buffers of its own, outside TensorFlow.js: checked and timed without leaving anything behind. */
class Bench {
  readonly #device: GPUDevice;
  readonly #backend: WebGPUBackend;
  readonly #shape: Shape;
  readonly #now: () => number;
  readonly #values: { readonly a: Float32Array<ArrayBuffer>; readonly b: Float32Array<ArrayBuffer> };
  readonly #buffers: Record<"a" | "b" | "result" | "staging" | "uniforms", GPUBuffer>;

  constructor(backend: WebGPUBackend, shape: Shape, now: () => number) {
    const { device } = backend;
    const { batch, rows, columns, inner, packed } = shape;
    this.#backend = backend;
    this.#device = device;
    this.#shape = shape;
    this.#now = now;
    this.#values = { a: noise(batch * rows * inner, 1), b: noise(batch * inner * columns, 2) };
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const size = 4 * batch * rows * columns;
    const stored = packed === true ? { a: inHalf(this.#values.a), b: inHalf(this.#values.b) } : this.#values;
    this.#buffers = {
      a: device.createBuffer({ size: stored.a.byteLength, usage: storage }),
      b: device.createBuffer({ size: stored.b.byteLength, usage: storage }),
      result: device.createBuffer({ size, usage: storage | GPUBufferUsage.COPY_SRC }),
      staging: device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
      uniforms: device.createBuffer({ size: 48, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST }),
    };
    device.queue.writeBuffer(this.#buffers.a, 0, stored.a);
    device.queue.writeBuffer(this.#buffers.b, 0, stored.b);
  }

  /** Best time of one product in milliseconds. */
  async time(kernel: Kernel, tiling: Tiling | null): Promise<number> {
    let count = 1;
    let best = await this.#run(kernel, tiling, count);
    best = await this.#run(kernel, tiling, count);
    count = Math.max(1, Math.min(MOST_DISPATCHES, Math.floor(RUN_MS / Math.max(best, 0.05))));
    for (let run = 0; run < RUNS; run++) best = Math.min(best, (await this.#run(kernel, tiling, count)) / count);
    return best;
  }

  /** Null where the numbers are right; else what is wrong with them. */
  async fault(kernel: Kernel, tiling: Tiling): Promise<string | null> {
    const { result, staging } = this.#buffers;
    await this.#run(kernel, tiling, 1);
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(result, 0, staging, 0, result.size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const actual = new Float32Array(staging.getMappedRange());
    const worst = this.#worst(actual, tiling.factors === "f16");
    staging.unmap();
    return worst <= 1 ? null : `computes wrong numbers: an error of ${worst.toPrecision(2)} times its bound`;
  }

  /** Largest error among probes spread over the result, in units of its bound: rounding of the sum and, in f16, of both factors. */
  #worst(actual: Float32Array, half: boolean): number {
    const { rows, columns, inner, transposeA, transposeB } = this.#shape;
    const { a, b } = this.#values;
    let worst = 0;
    for (let probe = 0; probe < PROBES; probe++) {
      const at = Math.floor((probe * (actual.length - 1)) / (PROBES - 1));
      const [n, row, column] = [Math.floor(at / (rows * columns)), Math.floor(at / columns) % rows, at % columns];
      let [sum, magnitude] = [0, 0];
      for (let k = 0; k < inner; k++) {
        const left = a[n * rows * inner + (transposeA ? k * rows + row : row * inner + k)] as number;
        const right = b[n * inner * columns + (transposeB ? column * inner + k : k * columns + column)] as number;
        sum += left * right;
        magnitude += Math.abs(left * right);
      }
      const bound = ((inner + 1) * UNIT + (half ? 2 * HALF_UNIT : 0)) * magnitude;
      const error = Math.abs((actual[at] as number) - sum) / bound;
      worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }
    return worst;
  }

  async #run(kernel: Kernel, tiling: Tiling | null, count: number): Promise<number> {
    const pipeline = await compile(this.#backend, kernel);
    const { a, b, result, uniforms } = this.#buffers;
    const { batch, rows, columns, inner, transposeA, transposeB } = this.#shape;
    const [rowA, innerA] = transposeA ? [1, rows] : [inner, 1];
    const [innerB, columnB] = transposeB ? [1, inner] : [columns, 1];
    const values = tiling === null ? [rows, columns, inner, rowA, innerA, innerB, columnB, 0] : [rows, columns, inner, 0];
    this.#device.queue.writeBuffer(uniforms, 0, Int32Array.from(values));
    // The scale of packed factors, behind all others.
    this.#device.queue.writeBuffer(uniforms, 4 * values.length, Float32Array.of(1));
    const group = this.#device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [result, a, b, b, uniforms].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const [tileRows, tileColumns] = tiling === null ? [TILE, TILE] : tileOf(tiling);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let dispatch = 0; dispatch < count; dispatch++)
      pass.dispatchWorkgroups(Math.ceil(columns / tileColumns), Math.ceil(rows / tileRows), batch);
    pass.end();
    const commands = encoder.finish();
    const beganMs = this.#now();
    this.#device.queue.submit([commands]);
    await this.#device.queue.onSubmittedWorkDone();
    return this.#now() - beganMs;
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
  }
}

/** Numbers in [-1, 1) without any pattern that a fault could hide in; the same each time. */
function noise(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** As packed factors are stored; as many values as a vector of four divides. */
const inHalf = (values: Float32Array): Uint16Array<ArrayBuffer> => Uint16Array.from(values, f16Nearest);

/** Changes with any of the texts: 32-bit FNV-1a. */
export function revisionOf(kernels: readonly Kernel[]): string {
  let hash = 0x811c9dc5;
  for (const kernel of kernels)
    for (const character of shaderOf(kernel)) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
  return (hash >>> 0).toString(16);
}
