// The committed modules are what their sources compile to.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { compile, MODULES } from "../build.mjs";
import { moduleBytes as fold } from "./fold/module.ts";
import { moduleBytes as kernels } from "./module.ts";

const COMMITTED: Readonly<Record<string, () => Uint8Array>> = { "index.ts": () => kernels("own"), "fold.ts": fold };

it.each(MODULES)("compiling $entry again yields the bytes that are committed", { timeout: 120_000 }, async (module) => {
  const hash = (bytes: Uint8Array | undefined): string =>
    createHash("sha256")
      .update(bytes ?? "")
      .digest("hex");
  expect(hash(await compile(module))).toBe(hash(COMMITTED[module.entry]?.()));
});
