import type { VolunteerView } from "@weft/protocol";
import { expect, it } from "vitest";
import { rejectedOf, staleness } from "./strip.tsx";

const view = (present: boolean, stalenessLast: number, stalenessMax: number) => ({ present, stalenessLast, stalenessMax }) as VolunteerView;

it("staleness is the median of those who are here and the most ever", () => {
  expect(staleness([view(true, 0, 1), view(true, 1, 1), view(true, 4, 4), view(false, 9, 12)])).toEqual({ median: 1, most: 12 });
  expect(staleness([view(true, 0, 0), view(true, 1, 1)])).toEqual({ median: 0.5, most: 1 });
  expect(staleness([])).toEqual({ median: 0, most: 0 });
});
it("rejections are counted over all codes", () => {
  expect(rejectedOf({ rejectedByCode: { stale: 9, "not-finite": 2 } })).toBe(11);
});
