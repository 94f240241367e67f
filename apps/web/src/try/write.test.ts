import { describe, expect, it } from "vitest";
import { probabilitiesOf, writeTokens } from "./write.ts";

/** A model that always follows token t by t + 1, and sees nothing after the place it is asked about. */
const successor = (vocabulary: number, seen: Int32Array[]) => async (window: Int32Array) => {
  seen.push(window);
  const logits = new Float32Array(window.length * vocabulary);
  window.forEach((token, place) => {
    logits[place * vocabulary + ((token + 1) % vocabulary)] = 10;
  });
  return logits;
};

describe("writing on", () => {
  const write = async (tokens: number[], count: number, context = 4) => {
    const seen: Int32Array[] = [];
    const made: number[] = [];
    await writeTokens({
      context,
      vocabulary: 7,
      tokens,
      count,
      temperature: 0,
      uniform: () => 0,
      logits: successor(7, seen),
      onToken: (token) => made.push(token),
    });
    return { made, seen };
  };
  it("reads the logits at the last token of a window that is padded at its end", async () => {
    const { made, seen } = await write([2, 3], 1);
    expect(made).toEqual([4]);
    expect([...(seen[0] ?? [])]).toEqual([2, 3, 0, 0]);
  });
  it("moves the window on when the text outgrows it", async () => {
    const { made, seen } = await write([1], 6);
    expect(made).toEqual([2, 3, 4, 5, 6, 0]);
    expect([...(seen[5] ?? [])]).toEqual([3, 4, 5, 6]);
  });
  it("refuses to continue nothing", async () => {
    await expect(write([], 1)).rejects.toThrow("nothing to continue");
  });
});

it("probabilities sum to one, even of logits whose powers overflow", () => {
  const chances = probabilitiesOf(Float32Array.of(1000, 1000, 0));
  expect([...chances]).toEqual([0.5, 0.5, 0]);
});
