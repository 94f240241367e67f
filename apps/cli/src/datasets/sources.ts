// Where the bytes of a data set come from: local files, and addresses. Bounded; every failure is a sentence.
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { type FetchBytes, MAX_UNPACKED_BYTES, type NamedBytes } from "@weft/datasets";

/** A download that takes longer has stalled: the largest file with a recipe is 26 MB. */
const DOWNLOAD_MS = 10 * 60_000;

export const readLocal = async (path: string, maxBytes = MAX_UNPACKED_BYTES): Promise<NamedBytes> => {
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile()) throw new Error(`There is no file ${path}.`);
  if (found.size > maxBytes) throw new Error(`${path} has ${found.size} bytes; at most ${maxBytes} can be read.`);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(`${path} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  });
  return { name: basename(path), bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
};

/** Looks in `folder` for the file that an address names, packed or not: `x.gz` or `x` for `.../x.gz`, `x` or `x.gz` for `.../x`. */
export const fromFolder =
  (folder: string): FetchBytes =>
  async (address, maxBytes) => {
    const plain = basename(new URL(address).pathname).replace(/\.gz$/, "");
    for (const name of [plain, `${plain}.gz`]) {
      const path = join(folder, name);
      if (
        await stat(path)
          .then((found) => found.isFile())
          .catch(() => false)
      )
        return (await readLocal(path, maxBytes)).bytes;
    }
    throw new Error(`The folder ${folder} has neither ${plain} nor ${plain}.gz.`);
  };

const whyOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `it took more than ${DOWNLOAD_MS / 60_000} minutes`;
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
};

/** Downloads over `download`, which follows redirects. */
export const fromAddresses =
  (download: typeof fetch = fetch): FetchBytes =>
  async (address, maxBytes) => {
    const fail = (why: string): never => {
      throw new Error(
        `${address} could not be downloaded (${why}). Nothing was imported; a copy of the files can be used with --from DIR.`,
      );
    };
    const reply = await download(address, { signal: AbortSignal.timeout(DOWNLOAD_MS) }).catch((error: unknown) => fail(whyOf(error)));
    if (!reply.ok || reply.body === null) return fail(`the server answered ${reply.status}`);
    const parts: Uint8Array[] = [];
    let total = 0;
    const reader = reply.body.getReader();
    for (;;) {
      const next = await reader.read().catch((error: unknown) => fail(`it broke off after ${total} bytes: ${whyOf(error)}`));
      if (next.done) break;
      total += next.value.length;
      if (total > maxBytes) {
        await reader.cancel().catch(() => undefined);
        return fail(`it is longer than the ${maxBytes} bytes that are due`);
      }
      parts.push(next.value);
    }
    return new Uint8Array(Buffer.concat(parts, total));
  };
