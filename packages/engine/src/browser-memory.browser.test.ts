import { expect, it } from "vitest";
import { browserMemory } from "./browser-memory.ts";

it("keeps what it is told from one page to the next, newest last", async () => {
  const key = `test ${Math.random()}`;
  const first = browserMemory();
  expect(await first.get(key)).toBeNull();
  await first.set(key, "64x64");
  await first.set(key, "32x32 memory");
  expect(await first.get(key)).toBe("32x32 memory");
  expect(await browserMemory().get(key)).toBe("32x32 memory");
});

it("forgets with the page, and fails at nothing, where the browser keeps nothing", async () => {
  const denied = {
    open: () => {
      throw new DOMException("denied", "SecurityError");
    },
  } as unknown as IDBFactory;
  for (const memory of [browserMemory(denied), browserMemory(null)]) {
    await memory.set("denied", "any");
    expect(await memory.get("denied")).toBe("any");
  }
  expect(await browserMemory(denied).get("denied")).toBeNull();
});
