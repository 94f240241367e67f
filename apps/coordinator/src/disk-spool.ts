// Unfinished uploads as temporary files in the data folder: the event loop appends, the computing thread reads. Emptied at start: a sender
// whose upload was interrupted by a restart begins again. Knows nothing of what the bytes mean; the core holds the cap.
import assert from "node:assert/strict";
import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { UploadSpool } from "@weft/coordinator";

/** `folder` exists. */
export function diskSpool(folder: string): UploadSpool {
  const fileOf = (name: string): string => {
    assert(/^[a-z0-9.-]{1,200}$/.test(name) && !name.includes(".."), "spool names are made by the core");
    return join(folder, `${name}.part`);
  };
  return {
    append: (name, bytes) => appendFile(fileOf(name), bytes, { mode: 0o600 }),
    read: (name) => readFile(fileOf(name)),
    drop: (name) => rm(fileOf(name), { force: true }),
  };
}

export async function openDiskSpool(folder: string): Promise<UploadSpool> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return diskSpool(folder);
}
