import fc from "fast-check";
import { expect, it } from "vitest";
import { LOCAL, SPEC } from "../test/fixture.ts";
import { pieceAt, pieces, planOf } from "./plan.ts";

it("the pieces of a lease follow one another, cover it, and end with each epoch over a client's samples", () => {
  const whole = fc.integer({ min: 1, max: 200 });
  fc.assert(
    fc.property(whole, whole, fc.integer({ min: 1, max: 6 }), (size, piece, epochs) => {
      const plan = { samples: size * epochs, piece, stride: size };
      let at = 0;
      for (let index = 0; index < pieces(plan); index++) {
        const { from, to } = pieceAt(plan, index);
        expect(from).toBe(at);
        expect(to - from).toBeGreaterThan(0);
        expect(to - from).toBeLessThanOrEqual(piece);
        expect(Math.floor(from / size)).toBe(Math.floor((to - 1) / size));
        at = to;
      }
      expect(at).toBe(plan.samples);
    }),
  );
});

it("a piece is a micro-batch of a gradient, a step of local steps, and a visit has a whole number of epochs", () => {
  expect(planOf(SPEC, { samples: 20 })).toEqual({ samples: 20, piece: 8, stride: 20 });
  expect(planOf(LOCAL, { samples: 20 })).toEqual({ samples: 20, piece: 8, stride: 20 });
  const sampler = { kind: "clients", clients: 4, perRound: 2, epochs: 3, partition: { kind: "iid" } } as const;
  expect(planOf({ ...LOCAL, sampler }, { samples: 30 })).toEqual({ samples: 30, piece: 8, stride: 10 });
  expect(planOf({ ...LOCAL, sampler }, { samples: 20 })).toBeNull();
});
