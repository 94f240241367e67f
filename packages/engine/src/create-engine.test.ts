// What `auto` ends at where WebAssembly cannot be had. In a file of its own: a module that was compiled once stays.
import { expect, it, vi } from "vitest";
import { createEngine } from "./index.ts";

it("falls back to the CPU where WebAssembly is forbidden, and says so where it was asked for by name", async () => {
  vi.spyOn(WebAssembly, "instantiate").mockRejectedValue(new Error("forbidden by the content security policy"));
  await expect(createEngine({ preference: "wasm", allowSoftwareGpu: false })).rejects.toMatchObject({
    code: "no-wasm",
    message: expect.stringContaining("forbidden"),
  });
  const cpu = await createEngine({ preference: "auto", allowSoftwareGpu: false });
  expect(cpu.device.backend).toBe("cpu");
  vi.restoreAllMocks();
  const wasm = await createEngine({ preference: "auto", allowSoftwareGpu: false });
  expect(wasm.device.backend).toBe("wasm");
});
