// Results of long measurements, kept by what was asked and by the code that answered: a bench of hours can be broken off and gone on with.
// Knows no bench.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));
const FOLDER = join(REPOSITORY, "node_modules", ".cache", "weft-bench");
const MOST_DIFFERENCE_BYTES = 64 * 1024 ** 2;

export class KeptResults {
  readonly #bench: string;
  readonly #folders: readonly string[];
  /** Undefined before somebody asks: it is not had in an instant. */
  #code: string | null | undefined;

  /** `folders`: of this repository, whose code decides the results. */
  constructor(bench: string, folders: readonly string[]) {
    this.#bench = bench;
    this.#folders = folders;
  }

  /** What `key` (plain data) gave before with this very code, or `measure` now. Without git every result is measured anew. */
  async of<T>(key: unknown, measure: () => Promise<T>): Promise<{ readonly result: T; readonly isKept: boolean }> {
    if (this.#code === undefined) this.#code = revisionOf(this.#folders);
    if (this.#code === null) return { result: await measure(), isKept: false };
    const name = createHash("sha256")
      .update(JSON.stringify([this.#code, key]))
      .digest("hex")
      .slice(0, 32);
    const path = join(FOLDER, `${this.#bench}-${name}.json`);
    const kept = readKept(path);
    if (kept !== null) return { result: kept.result as T, isKept: true };
    const result = await measure();
    mkdirSync(FOLDER, { recursive: true });
    // Whole or not at all, also where the bench is broken off here.
    writeFileSync(`${path}.new`, JSON.stringify({ key, result }));
    renameSync(`${path}.new`, path);
    return { result, isKept: false };
  }
}

function readKept(path: string): { readonly result: unknown } | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as { readonly result: unknown };
  } catch {
    return null;
  }
}

/** Of the files as they are, committed or not; null where git cannot tell. */
function revisionOf(folders: readonly string[]): string | null {
  const git = (...args: string[]): Buffer =>
    execFileSync("git", args, { cwd: REPOSITORY, stdio: ["ignore", "pipe", "ignore"], maxBuffer: MOST_DIFFERENCE_BYTES });
  try {
    const hash = createHash("sha256");
    hash.update(git("ls-files", "-s", "--", ...folders));
    hash.update(git("diff", "HEAD", "--", ...folders));
    const unknown = git("ls-files", "--others", "--exclude-standard", "-z", "--", ...folders)
      .toString()
      .split("\0");
    for (const path of unknown.filter((name) => name !== "")) hash.update(path).update(readFileSync(join(REPOSITORY, path)));
    return hash.digest("hex");
  } catch {
    return null;
  }
}
