// The update that bench `uplink` encodes, in Node and in the page alike.
import { randomStream } from "@weft/tensors";

/** Normal values of a gradient's size. */
export function updateOf(size: number, seed: number): Float32Array<ArrayBuffer> {
  const random = randomStream(seed, size);
  return Float32Array.from({ length: size }, () => random.normal() * 0.02);
}
