// The same suites where several threads compute every kernel that can be divided.
import { afterAll, beforeAll, describe, expect } from "vitest";
import { describeAll } from "../../test/all-suites.ts";
import { threadsOf } from "../../test/threads.ts";
import { registerWasmBackend, unregisterWasmBackend, type WasmBackend } from "../index.ts";

describe.each([2, 3])("%i threads", (count) => {
  let backend: WasmBackend;
  beforeAll(async () => {
    backend = await registerWasmBackend(threadsOf(count));
    expect(backend.instance.threads).toBe(count);
  }, 90_000);
  afterAll(() => unregisterWasmBackend(backend));

  describeAll(`${count} threads`);
});
