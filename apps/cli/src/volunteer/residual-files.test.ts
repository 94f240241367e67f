import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { residualFiles } from "./residual-files.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-residuals-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("keeps the newest two runs' beside the key, gives them at the next visit, and deletes", async () => {
  const key = join(folder, "key");
  const store = residualFiles(key) ?? expect.fail();
  expect(await store.get("one")).toBeNull();
  await store.set("one", Uint8Array.of(1));
  await utimes(join(`${key}.residuals`, "one.safetensors"), 1, 1);
  await store.set("two", Uint8Array.of(2));
  await utimes(join(`${key}.residuals`, "two.safetensors"), 2, 2);
  await store.set("three", Uint8Array.of(3));
  expect((await readdir(`${key}.residuals`)).toSorted()).toEqual(["three.safetensors", "two.safetensors"]);
  expect(await residualFiles(key)?.get("three")).toEqual(Uint8Array.of(3));
  await store.delete("three");
  expect(await store.get("three")).toBeNull();
});

it("is nowhere without a key file, and fails nobody where nothing can be written", async () => {
  expect(residualFiles(null)).toBeNull();
  const key = join(folder, "other");
  await writeFile(`${key}.residuals`, "a file where the folder should be");
  const store = residualFiles(key) ?? expect.fail();
  await store.set("one", Uint8Array.of(1));
  await store.delete("one");
  expect(await store.get("one")).toBeNull();
});
