// A linear memory that cannot grow: the batch is computed in smaller pieces, to the same sums. In a file of its own: memory that was had stays.
import { probeBatch, probeWeights } from "@weft/models";
import { expect, it, vi } from "vitest";
import { relativeError, SMALL_MODELS } from "../../models/test/cases.ts";
import { createEngine } from "./index.ts";
import { stepInPieces } from "./micro-batches.ts";

const ROWS = 256;
const PIECE = 16;

it("a step that does not fit is made of smaller ones, and the next goes on so", { timeout: 30_000 }, async () => {
  const model = SMALL_MODELS.gpt;
  const [weights, batch] = [probeWeights(model, 1), probeBatch(model, ROWS, ROWS - 5, 2)];
  const engine = await createEngine({ preference: "wasm", allowSoftwareGpu: false });
  await engine.load(model, PIECE);
  await engine.setWeights(weights);
  const expected = await stepInPieces((piece) => engine.step(piece), batch, PIECE);

  await engine.load(model, ROWS);
  await engine.setWeights(weights);
  let room = 8;
  const { grow } = WebAssembly.Memory.prototype;
  vi.spyOn(WebAssembly.Memory.prototype, "grow").mockImplementation(function (this: WebAssembly.Memory, pages: number) {
    if (pages > room) throw new RangeError("no more memory");
    room -= pages;
    return grow.call(this, pages);
  });
  for (let repeat = 0; repeat < 2; repeat++) {
    const { lossSum, gradientSum } = await engine.step(batch);
    expect(relativeError([lossSum], [expected.lossSum])).toBeLessThan(1e-6);
    expect(relativeError(gradientSum, expected.gradientSum)).toBeLessThan(1e-6);
  }
  expect(vi.mocked(WebAssembly.Memory.prototype.grow).mock.results.some(({ type }) => type === "throw")).toBe(true);
  vi.restoreAllMocks();
});
