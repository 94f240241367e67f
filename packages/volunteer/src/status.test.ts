import { expect, it } from "vitest";
import { initialState } from "./state.ts";
import { snapshotOf } from "./status.ts";

it("shows the losses of one run, that of the newest lease: those of different models are not to be compared", () => {
  const state = initialState({ volunteer: "a".repeat(64), name: null, effort: 1, seed: 1 });
  const losses = [
    { run: "digits", mean: 0.5 },
    { run: "austen", mean: 4.5 },
    { run: "digits", mean: 0.25 },
  ];
  expect(snapshotOf(state).losses).toEqual([]);
  expect(snapshotOf({ ...state, losses }).losses).toEqual([0.5, 0.25]);
  expect(snapshotOf({ ...state, losses: losses.slice(0, 2) }).losses).toEqual([4.5]);
});
