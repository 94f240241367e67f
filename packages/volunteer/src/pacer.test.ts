import { MAX_MESSAGES_PER_SECOND } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { Pacer } from "./pacer.ts";

describe("pacer", () => {
  it("lets a burst through, then keeps under the coordinator's bound", () => {
    const pacer = new Pacer();
    const waits = Array.from({ length: 200 }, () => pacer.waitMs(1_000));
    expect(waits.slice(0, 40)).toEqual(Array(40).fill(0));
    expect([...waits].sort((a, b) => a - b)).toEqual(waits);
    const lastSecond = waits.filter((wait) => wait > 2_000 && wait <= 3_000).length;
    expect(lastSecond).toBeLessThan(MAX_MESSAGES_PER_SECOND);
    expect(pacer.waitMs(1_000_000)).toBe(0);
  });
});
