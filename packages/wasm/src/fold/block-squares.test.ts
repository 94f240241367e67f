import { DECODE_BLOCK, randomStream, squaredNorm } from "@weft/tensors";
import { expect, it } from "vitest";
import { wasmSquares } from "./block-squares.ts";

it("has the bits of the reference, whatever the length and whatever lay in the room before", () => {
  const squares = wasmSquares();
  const random = randomStream(5, 0);
  for (const length of [0, 1, 7, 8, 9, 15, 100, 4_093, DECODE_BLOCK]) {
    squares.room.fill(3);
    for (let at = 0; at < length; at++) squares.room[at] = (random.uniform() - 0.5) * 2 ** Math.floor(60 * random.uniform() - 30);
    expect(squares.sum(length)).toBe(squaredNorm(squares.room.slice(0, length)));
  }
});

it("is not finite where a value is not", () => {
  const squares = wasmSquares();
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    for (const at of [0, 5, 11]) {
      squares.room.fill(1);
      squares.room[at] = value;
      expect(Number.isFinite(squares.sum(12))).toBe(false);
    }
});

it("takes the squares of the largest values", () => {
  const squares = wasmSquares();
  squares.room.fill((2 - 2 ** -23) * 2 ** 127);
  expect(squares.sum(DECODE_BLOCK)).toBe(squaredNorm(squares.room));
  expect(squares.sum(DECODE_BLOCK)).toBeGreaterThan(1e80);
});
