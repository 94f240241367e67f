// The compiled kernels on a memory of their own, which grows when it must: of one thread, or of several that share it. Knows no tensors.
import { FUNCTIONS, type Kernel, type KernelFunction, kernelsOf, workOf } from "./kernel-functions.ts";
import { MEETING_BYTES } from "./meeting.ts";
import { MAX_PAGES, moduleBytes } from "./module.ts";
import { Team, type ThreadOptions } from "./team.ts";

/** The linear memory cannot grow by what a computation needs. */
export class WasmMemoryError extends Error {
  override readonly name = "WasmMemoryError";
}

const PAGE_BYTES = 65_536;
/** Below it the threads would wait for one another longer than they compute. */
const LEAST_WORK = 100_000;

/** One call with fixed arguments. */
export interface Command {
  readonly kernel: number;
  readonly args: readonly number[];
  /** Whether all threads compute it. */
  readonly shared: boolean;
}

export interface Instance {
  /** That compute together; 1: this one alone. */
  readonly threads: number;
  /** Resolves with a sentence when threads are lost, and the memory with them. Never, for one thread. */
  readonly lost: Promise<string>;
  command(name: KernelFunction, args: readonly number[]): Command;
  /** Throws a ThreadsLostError where threads are lost. */
  run(command: Command): void;
  /** Bytes of working memory that calls of these extents need, for all threads. */
  readonly matmulScratchBytes: number;
  attentionScratchBytes(length: number): number;
  convolutionScratchBytes(channels: number, outChannels: number, kernel: number, height: number, width: number): number;
  crossEntropyScratchBytes(rows: number): number;
  lstmScratchBytes(rows: number, hidden: number): number;
  readonly optimizerScratchBytes: number;
  /** Views of the memory as it is now: growing makes earlier ones empty, or too short. */
  f32(at: number, length: number): Float32Array;
  i32(at: number, length: number): Int32Array;
  /** Bytes that the memory has. */
  readonly sizeBytes: number;
  /** Address of so many bytes that nobody had before. Throws a WasmMemoryError where the memory cannot grow. */
  extend(sizeBytes: number): number;
  /** Ends the threads, where there are any. The instance is of no use then. */
  close(): void;
}

/** On several threads where `threads` asks for them and the platform has them, else on one. Rejects where the platform has no WebAssembly or
 *  no SIMD in it, or its policy forbids it. */
export async function openInstance(threads?: ThreadOptions): Promise<Instance> {
  return (threads === undefined ? null : await openShared(threads)) ?? openOwn();
}

async function openOwn(): Promise<Instance> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES });
  const { instance } = await WebAssembly.instantiate(moduleBytes("own"), { env: { memory, meet: () => undefined } });
  return instanceOf(instance, memory, null, Number.POSITIVE_INFINITY);
}

async function openShared(options: ThreadOptions): Promise<Instance | null> {
  // What keeps a module from being compiled keeps it for one thread too, where it is reported.
  const module = await WebAssembly.compile(moduleBytes("shared")).catch(() => null);
  const team = module === null ? null : await Team.open(module, options);
  if (module === null || team === null) return null;
  const { memory } = team;
  const instance = await WebAssembly.instantiate(module, { env: { memory, meet: () => team.meet() } }).catch(() => null);
  const opened = instance === null ? null : instanceOf(instance, memory, team, options.leastWork ?? LEAST_WORK);
  if (opened !== null && agree(opened)) return opened;
  team.close();
  return null;
}

/** Whether the threads give together, to the last bit, what one gives alone: each computes a part of what is compared. */
function agree(instance: Instance): boolean {
  const size = 64 * instance.threads;
  const [x, alone, together] = [0, 1, 2].map(() => instance.extend(4 * size)) as [number, number, number];
  instance.f32(x, size).set(Float32Array.from({ length: size }, (_, index) => (index - size / 2) / 16));
  const compute = (to: number, shared: boolean): void => instance.run({ ...instance.command("gelu", [1, x, to, size]), shared });
  try {
    compute(alone, false);
    compute(together, true);
  } catch {
    return false;
  }
  const expected = instance.i32(alone, size);
  return instance.i32(together, size).every((bits, index) => bits === expected[index]);
}

function instanceOf(instance: WebAssembly.Instance, memory: WebAssembly.Memory, team: Team | null, leastWork: number): Instance {
  const kernels = kernelsOf(instance);
  const threads = team?.threads ?? 1;
  const number = (name: string, ...args: number[]): number => (instance.exports[name] as (...args: number[]) => number)(...args);
  const takePart = instance.exports.takePart as (index: number, count: number) => void;
  let parts = 1;
  const own = ({ kernel, args, shared }: Command): void => {
    const wanted = shared ? threads : 1;
    if (wanted !== parts) {
      parts = wanted;
      takePart(0, parts);
    }
    (kernels[kernel] as Kernel)(...args);
  };
  // Nothing lies at 0, which stands for what is absent.
  let top = MEETING_BYTES;
  return {
    threads,
    lost: team?.lost ?? new Promise(() => undefined),
    command: (name, args) => {
      const kernel = FUNCTIONS.indexOf(name);
      const work = workOf(kernel, args);
      return { kernel, args, shared: work > 0 && work >= leastWork };
    },
    run: (command) => (command.shared && team !== null ? team.together(command, () => own(command)) : own(command)),
    matmulScratchBytes: number("matmulScratchBytes", threads),
    attentionScratchBytes: (length) => number("attentionScratchBytes", length, threads),
    convolutionScratchBytes: (...extents) => number("convolutionScratchBytes", ...extents, threads),
    crossEntropyScratchBytes: (rows) => number("crossEntropyScratchBytes", rows),
    lstmScratchBytes: (rows, hidden) => number("lstmScratchBytes", rows, hidden, threads),
    optimizerScratchBytes: number("optimizerScratchBytes"),
    f32: (at, length) => new Float32Array(memory.buffer, at, length),
    i32: (at, length) => new Int32Array(memory.buffer, at, length),
    get sizeBytes() {
      return memory.buffer.byteLength;
    },
    extend: (sizeBytes) => {
      const at = top;
      const pages = Math.ceil((at + sizeBytes) / PAGE_BYTES) - memory.buffer.byteLength / PAGE_BYTES;
      try {
        if (pages > 0) memory.grow(pages);
      } catch {
        throw new WasmMemoryError(`WebAssembly has no memory for ${sizeBytes} bytes more than ${at}`);
      }
      top = at + sizeBytes;
      return at;
    },
    close: () => team?.close(),
  };
}
