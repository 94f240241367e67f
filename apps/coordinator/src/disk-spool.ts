// Unfinished uploads as temporary files in the data folder. Emptied at start: a sender whose upload was interrupted by a restart begins again.
// Knows nothing of what the bytes mean; the core holds the cap.
import assert from "node:assert/strict";
import { appendFile, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { UploadSpool } from "@weft/coordinator";

export async function openDiskSpool(folder: string): Promise<UploadSpool> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const fileOf = (name: string): string => {
    assert(/^[a-z0-9.-]{1,200}$/.test(name) && !name.includes(".."), "spool names are made by the core");
    return join(folder, `${name}.part`);
  };
  return {
    append: (name, bytes) => appendFile(fileOf(name), bytes, { mode: 0o600 }),
    async read(name) {
      const handle = await open(fileOf(name), "r");
      try {
        const { size } = await handle.stat();
        // Memory that worker threads can look at without a copy, so that inspection and storage of a large upload cost the event loop nothing.
        const bytes = new Uint8Array(new SharedArrayBuffer(size));
        for (let done = 0; done < size; ) {
          const { bytesRead } = await handle.read(bytes, done, size - done, done);
          if (bytesRead === 0) throw new Error(`the spooled upload ${name} is shorter than it was`);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await handle.close();
      }
    },
    drop: (name) => rm(fileOf(name), { force: true }),
  };
}
