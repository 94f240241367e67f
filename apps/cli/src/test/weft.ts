// `weft` for a test: a command runs in this process as main.ts runs it, and what it would have written comes back.
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type Command, CommanderError } from "commander";
import { afterEach, vi } from "vitest";
import { sentenceOf, weftProgram } from "../program.ts";

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function weft(args: readonly string[], download?: typeof fetch): Promise<Outcome> {
  let [out, err] = ["", ""];
  const toOut = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const toErr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  const program = weftProgram(download);
  const prepare = (command: Command): void => {
    command.exitOverride();
    command.commands.forEach(prepare);
  };
  prepare(program);
  let code = 0;
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    code = error instanceof CommanderError ? error.exitCode : 1;
    if (!(error instanceof CommanderError)) err += `${sentenceOf(error)}\n`;
  } finally {
    toOut.mockRestore();
    toErr.mockRestore();
  }
  return { code, out, err };
}

/** The one line of a command that failed as it should. */
export async function refusal(args: readonly string[], download?: typeof fetch): Promise<string> {
  const { code, err } = await weft(args, download);
  if (code !== 1 || !/^[^\n]{10,600}[.)]\n$/.test(err)) throw new Error(`exit code ${code}, on standard error:\n${err}`);
  return err.trimEnd();
}

/** What a command that succeeds writes to standard output. */
export async function output(args: readonly string[], download?: typeof fetch): Promise<string> {
  const { code, out, err } = await weft(args, download);
  if (code !== 0 || err !== "") throw new Error(`exit code ${code}, on standard error:\n${err}`);
  return out;
}

const made: string[] = [];
afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
});
/** Removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "weft-cli-"));
  made.push(folder);
  return folder;
}

/** Every file in a folder by its path and hash; null where there is no folder. Two equal answers: nothing has changed. */
export async function contentOf(folder: string): Promise<Readonly<Record<string, string>> | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => null);
  if (entries === null) return null;
  const found: Record<string, string> = {};
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    found[relative(folder, path)] = entry.isFile()
      ? createHash("sha256")
          .update(await readFile(path))
          .digest("hex")
      : "a folder";
  }
  return found;
}
