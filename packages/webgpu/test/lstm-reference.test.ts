// The reference gradient of an LSTM's recurrence against central differences of its forward pass along a random direction.
import { randomStream } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { lstm, lstmGradient } from "./lstm-reference.ts";

describe("the reference of an LSTM's recurrence", () => {
  const stream = randomStream(6, 0);
  const normals = (length: number): Float64Array => Float64Array.from({ length }, () => stream.normal());
  const [windows, length, hidden] = [2, 5, 3];
  const given = { windows, length, hidden, recurrent: normals(4 * hidden * hidden) };
  const projected = normals(4 * windows * length * hidden);
  const dy = normals(windows * length * hidden);
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);

  it("has the slope of its forward pass as its gradient", () => {
    const { cells, gates } = lstm(given, projected);
    const gradient = lstmGradient(given, dy, { cells: cells.values, gates: gates.values }).values;
    const direction = normals(projected.length);
    const moved = (step: number): number =>
      dot(
        lstm(
          given,
          projected.map((value, index) => value + step * (direction[index] as number)),
        ).y.values,
        dy,
      );
    const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
    expect(Math.abs(slope - dot(gradient, direction)) / Math.abs(slope)).toBeLessThan(1e-6);
  });
  it("knows the state before each token, which is 0 at the start of a window", () => {
    const { y, previous } = lstm(given, projected);
    for (let token = 0; token < windows * length; token++) {
      const before = token % length === 0 ? new Float64Array(hidden) : y.values.slice((token - 1) * hidden, token * hidden);
      expect(previous.values.slice(token * hidden, (token + 1) * hidden)).toEqual(before);
    }
  });
});
