// A residual that cannot be kept is forgotten, and keeps nobody waiting.
import { expect, it } from "vitest";
import { memoryResiduals, Residuals } from "./residuals.ts";

const some = (): Promise<Float32Array> => Promise.resolve(Float32Array.of(1, 2, 3));
const noRoom = (): never => {
  throw new RangeError("Array buffer allocation failed");
};

it.each([
  ["there is no room to store it", { ...memoryResiduals(), set: noRoom }, some],
  ["what was left unsaid does not come", memoryResiduals(), async () => noRoom()],
] as const)("is let go where %s", async (_, store, rest) => {
  const residuals = new Residuals(store);
  const first = await residuals.take("run", 3);
  await first.settle("admitted", rest());
  const next = await residuals.take("run", 3);
  expect([...next.residual]).toEqual([0, 0, 0]);
});

it("is what was left unsaid, where there is room", async () => {
  const residuals = new Residuals(memoryResiduals());
  await (await residuals.take("run", 3)).settle("admitted", some());
  expect([...(await residuals.take("run", 3)).residual]).toEqual([1, 2, 3]);
});
