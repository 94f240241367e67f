// The committed module is what its source compiles to.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { compile } from "../build.mjs";
import { moduleBytes } from "./module.ts";

it("compiling the kernels again yields the bytes that are committed", { timeout: 120_000 }, async () => {
  const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  expect(hash(await compile())).toBe(hash(moduleBytes()));
});
