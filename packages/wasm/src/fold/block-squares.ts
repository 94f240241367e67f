// The sum of the squares of a block of values in WebAssembly SIMD, with the bits of @weft/tensors' `squaredNorm`, which stays the reference.
import { DECODE_BLOCK } from "@weft/tensors";
import { moduleBytes } from "./module.ts";

/** Nothing lies at 0. The kernel reads eight values at a time. */
const ROOM = 1024;
const PAGES = Math.ceil((ROOM + 4 * DECODE_BLOCK) / 65_536);

/** As the inspector of updates asks for it. */
export interface BlockSquares {
  /** DECODE_BLOCK values, which stay as they are between calls. */
  readonly room: Float32Array;
  /** The sum of the squares of the room's first `length` values, in f64. What lies behind them is overwritten. */
  sum(length: number): number;
}

/** Throws where the platform has no WebAssembly, or no SIMD in it. */
export function wasmSquares(): BlockSquares {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const { squaredNorm } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { env: { memory } }).exports as unknown as {
    squaredNorm(values: number, size: number): number;
  };
  const room = new Float32Array(memory.buffer, ROOM, DECODE_BLOCK);
  return {
    room,
    sum: (length) => {
      // The kernel takes eight at a time; squares of zeros change no sum.
      room.fill(0, length, (length + 7) & ~7);
      return squaredNorm(ROOM, length);
    },
  };
}
