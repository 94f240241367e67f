// `weft checkpoints`: list those of a run, pull one as a file. Checks the hash; never overwrites without being told, and leaves no half of a file.
import { randomUUID } from "node:crypto";
import { link, open, rename, rm } from "node:fs/promises";
import type { CheckpointView } from "@weft/protocol";
import type { Command } from "commander";
import { getBlob, getJson, withUrl } from "./api.ts";
import { columns, visible } from "./columns.ts";

interface PullOptions {
  readonly url: string;
  readonly out?: string;
  readonly force?: boolean;
}

const checkpointsOf = async (url: string, run: string): Promise<readonly CheckpointView[]> => {
  const all = await getJson<readonly CheckpointView[]>(url, `/api/runs/${encodeURIComponent(run)}/checkpoints`);
  return [...all].sort((one, other) => other.version - one.version);
};

const chosen = (run: string, version: string | undefined, all: readonly CheckpointView[]): CheckpointView => {
  const [newest] = all;
  if (newest === undefined) throw new Error(`Run "${run}" has no checkpoint yet.`);
  if (version === undefined || version === "latest") return newest;
  const found = all.find((checkpoint) => checkpoint.version === Number(version));
  if (found !== undefined) return found;
  const some = all.slice(0, 8).map((checkpoint) => `v${checkpoint.version}`);
  throw new Error(
    `Run "${run}" has no checkpoint v${version}; it has ${some.join(", ")}${all.length > some.length ? ` and ${all.length - some.length} more` : ""}.`,
  );
};

const because = (file: string, error: unknown): Error => {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "EEXIST") return new Error(`${file} is there already. Name another with --out, or overwrite it with --force.`);
  return new Error(`${file} cannot be written (${error instanceof Error ? error.message : String(error)}).`);
};

/** `fill` writes beside `file`; only what it has finished takes the name, and then whole. */
async function writeWhole(
  file: string,
  force: boolean,
  fill: (append: (bytes: Uint8Array) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const draft = `${file}.${randomUUID().slice(0, 8)}.part`;
  const writing = async <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw because(file, error);
    });
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

const exists = async (file: string): Promise<boolean> =>
  open(file, "r").then(
    async (handle) => {
      await handle.close();
      return true;
    },
    () => false,
  );

async function pull(name: string, { url, out, force = false }: PullOptions): Promise<void> {
  const [, run = "", version] = /^([^@]+)(?:@(?:v?(\d{1,9})|latest))?$/.exec(name) ?? [];
  if (run === "") throw new Error(`"${visible(name)}" is no checkpoint. Write RUN, RUN@VERSION or RUN@latest, for example digits@60.`);
  const { archive, version: found } = chosen(run, version, await checkpointsOf(url, run));
  const file = out ?? `${run}-v${String(found).padStart(6, "0")}.zip`;
  if (!force && (await exists(file))) throw because(file, Object.assign(new Error("exists"), { code: "EEXIST" }));
  await writeWhole(file, force, (append) => getBlob(url, `/api/runs/${encodeURIComponent(run)}/checkpoints/${found}`, archive, append));
  process.stdout.write(`${visible(file)}: v${found}, ${archive.sizeBytes} bytes, SHA-256 ${archive.sha256}\n`);
}

export function registerCheckpoints(program: Command): void {
  const checkpoints = program.command("checkpoints").description("list and download checkpoints");

  withUrl(checkpoints.command("list <run>").description("the checkpoints of a run, newest first")).action(
    async (run: string, { url }: { readonly url: string }) => {
      const rows = (await checkpointsOf(url, run)).map((checkpoint) => [
        `v${checkpoint.version}`,
        new Date(checkpoint.atMs).toISOString(),
        checkpoint.heldOutLoss?.toFixed(3) ?? "",
        checkpoint.accuracy === null ? "" : `${(100 * checkpoint.accuracy).toFixed(1)} %`,
        String(checkpoint.archive.sizeBytes),
        checkpoint.weights.sha256,
      ]);
      process.stdout.write(`${columns([["version", "made", "held-out loss", "right", "bytes", "SHA-256 of the weights"], ...rows])}\n`);
    },
  );

  withUrl(
    checkpoints.command("pull <run[@version]>").description("download a checkpoint as one file; the newest where no version is named"),
  )
    .option("--out <file>", "where to write it; RUN-vVERSION.zip here unless said")
    .option("--force", "overwrite a file that is there")
    .action(pull);
}
