// A seeded permutation that can be asked at any place, in constant time and memory. Knows nothing of what is permuted.
import type { RandomStream } from "./random.ts";

const ROUNDS = 10;

/**
 * Image of `index` under a permutation of 0 ... size - 1: a Feistel network that adds on Z_a x Z_b with a*b at or just above `size` (the
 * generalised Feistel construction of Black and Rogaway, CT-RSA 2002), walked on until it lands inside. `random` keys it: one stream, one
 * permutation of each size.
 */
export function permuted(random: Pick<RandomStream, "bits53At">, size: number, index: number): number {
  const a = Math.ceil(Math.sqrt(size));
  const b = Math.ceil(size / a);
  let value = index;
  do {
    let left = value % a;
    let right = (value - left) / a;
    for (let round = 0; round < ROUNDS; round += 2) {
      left = (left + (random.bits53At(right * ROUNDS + round) % a)) % a;
      right = (right + (random.bits53At(left * ROUNDS + round + 1) % b)) % b;
    }
    value = left + a * right;
  } while (value >= size);
  return value;
}
