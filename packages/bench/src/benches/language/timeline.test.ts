import { expect, it } from "vitest";
import { Timeline } from "./timeline.ts";

it("does what is planned by time, what is planned for one time in the order of planning, and nothing in the past", async () => {
  const timeline = new Timeline();
  const done: string[] = [];
  const act = (name: string) => async () => {
    done.push(`${name} at ${timeline.nowMs}`);
    if (name === "first") timeline.at(5, act("late"));
  };
  timeline.at(20, act("third"));
  timeline.at(10, act("first"));
  timeline.at(10, act("second"));
  while (await timeline.next());
  expect(done).toEqual(["first at 10", "second at 10", "late at 10", "third at 20"]);
});
