// Work in a process of its own: done means everything was stored, and what fails there is told here.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { runInProcess } from "./child-process.ts";
import { temporaryFolder } from "./test/harness.ts";

// A process from source takes seconds where the machine is busy.
vi.setConfig({ testTimeout: 60_000 });

test("the embedded data sets are unpacked by another process, their shards handed over whole", async () => {
  const folder = await temporaryFolder();
  const sizes: number[] = [];
  try {
    await runInProcess(
      "embedded-worker",
      { folder },
      {
        put: async (bytes: Uint8Array) => {
          sizes.push(bytes.length);
          return { sha256: "0".repeat(64), sizeBytes: bytes.length };
        },
      },
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(3_000_000);
    // Beside a damaged manifest nothing is done, and the reason comes back.
    await mkdir(join(folder, "datasets"), { recursive: true });
    await writeFile(join(folder, "datasets", "digits.json"), "{");
    await expect(runInProcess("embedded-worker", { folder }, {})).rejects.toThrow("The manifest digits.json is damaged");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("a fault of the storage reaches whoever started the process", async () => {
  const folder = await temporaryFolder();
  const put = () => Promise.reject(Object.assign(new Error("the disk is full"), { code: "disk-full" }));
  try {
    await expect(runInProcess("embedded-worker", { folder }, { put })).rejects.toMatchObject({
      message: "the disk is full",
      code: "disk-full",
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
