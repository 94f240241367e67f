// What biased codecs could not say yet, in a folder beside the volunteer's key: one file a run, those of the newest runs. What cannot be read
// or written is forgotten, which costs a little accuracy and nothing else.
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ResidualStore } from "@weft/volunteer";

/** Each is as large as a model. */
const MOST_RUNS = 2;
const ENDING = ".safetensors";

/** `key`: the volunteer's key file; null: the key is forgotten with the process, and this too. */
export function residualFiles(key: string | null): ResidualStore | null {
  if (key === null) return null;
  const folder = `${key}.residuals`;
  // Run ids are made of letters, digits and hyphens.
  const fileOf = (run: string): string => join(folder, `${run}${ENDING}`);
  const prune = async (): Promise<void> => {
    const names = (await readdir(folder)).filter((name) => name.endsWith(ENDING));
    const files = await Promise.all(names.map(async (name) => ({ name, atMs: (await stat(join(folder, name))).mtimeMs })));
    const old = files.toSorted((one, other) => other.atMs - one.atMs).slice(MOST_RUNS);
    await Promise.all(old.map(({ name }) => rm(join(folder, name), { force: true })));
  };
  return {
    get: (run) =>
      readFile(fileOf(run)).then(
        (bytes) => new Uint8Array(bytes),
        () => null,
      ),
    set: async (run, bytes) => {
      const file = fileOf(run);
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFile(`${file}.new`, bytes, { mode: 0o600 });
        await rename(`${file}.new`, file);
        await prune();
      } catch {
        await rm(file, { force: true }).catch(() => undefined);
      }
    },
    delete: (run) => rm(fileOf(run), { force: true }).catch(() => undefined),
  };
}
