// A file that is there whole or not at all: it is written beside its name, and takes the name when it is finished and on disk.
import { randomUUID } from "node:crypto";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";

const because = (file: string, error: unknown): Error => {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "EEXIST") return new Error(`${file} is there already. Name another with --out, or overwrite it with --force.`);
  return new Error(`${file} cannot be written (${error instanceof Error ? error.message : String(error)}).`);
};
const draftOf = (file: string, ending: string): string => `${file}.${randomUUID().slice(0, 8)}.${ending}`;

/** A file that goes when the work is done; errors of the disk are told of `file`, whose place they are about. */
export async function withSpool<T>(file: string, work: (spool: Spool) => Promise<T>): Promise<T> {
  const path = draftOf(file, "spool");
  const writing = telling(file);
  const handle = await writing(open(path, "wx+", 0o600));
  let end = 0;
  try {
    return await work({
      async append(bytes) {
        await writing(writeAll(handle, bytes, end));
        end += bytes.length;
      },
      read: (start, until) => writing(readAll(handle, start, until)),
    });
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}
export interface Spool {
  append(bytes: Uint8Array): Promise<void>;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** `fill` writes beside `file`; only what it has finished takes the name, and then whole. */
export async function writeWhole(
  file: string,
  force: boolean,
  fill: (append: (bytes: Uint8Array) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const draft = draftOf(file, "part");
  const writing = telling(file);
  const handle = await writing(open(draft, "wx"));
  try {
    await fill((bytes) => writing(handle.writeFile(bytes)));
    await writing(handle.sync());
    // A link never replaces what is there; a rename does.
    await writing(force ? rename(draft, file) : link(draft, file));
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
}

/** Throws where `file` is there and must not be overwritten: said before the work, not after it. */
export async function refuseExisting(file: string, force: boolean): Promise<void> {
  if (force) return;
  const there = await open(file, "r").catch(() => null);
  await there?.close();
  if (there !== null) throw because(file, Object.assign(new Error("exists"), { code: "EEXIST" }));
}

const telling =
  (file: string) =>
  async <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw because(file, error);
    });

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

/** Exactly the bytes from `start` to `end`; rejects where the file is shorter. */
export async function readAll(handle: FileHandle, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${start + done}`);
    done += bytesRead;
  }
  return bytes;
}
