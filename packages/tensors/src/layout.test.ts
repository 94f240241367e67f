import fc from "fast-check";
import { expect, it } from "vitest";
import { layoutOf, viewOf } from "./layout.ts";

it("lays parameters one after another without gaps, in the given order", () => {
  const layout = layoutOf([
    { name: "fc1.weight", shape: [3, 4] },
    { name: "fc1.bias", shape: [3] },
    { name: "scale", shape: [] },
  ]);
  expect(layout.parameters.map(({ name, offset, size }) => [name, offset, size])).toEqual([
    ["fc1.weight", 0, 12],
    ["fc1.bias", 12, 3],
    ["scale", 15, 1],
  ]);
  expect(layout.size).toBe(16);
});

it("covers every value by exactly one view, whatever the shapes, and views write through", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }), { maxLength: 12 }), (shapes) => {
      const layout = layoutOf(shapes.map((shape, index) => ({ name: `p${index}`, shape })));
      const flat = new Float32Array(layout.size);
      layout.parameters.forEach((info, index) => {
        viewOf(flat, info).fill(index + 1);
      });
      expect([...flat]).toEqual(layout.parameters.flatMap(({ size }, index) => new Array<number>(size).fill(index + 1)));
    }),
  );
});
