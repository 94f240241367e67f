// `weft checkpoints`: list those of a run, pull one as a file. Checks the hash; never overwrites without being told, and leaves no half of a file.
import type { CheckpointView } from "@weft/protocol";
import type { Command } from "commander";
import { refuseExisting, writeWhole } from "../files/write-whole.ts";
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

async function pull(name: string, { url, out, force = false }: PullOptions): Promise<void> {
  const [, run = "", version] = /^([^@]+)(?:@(?:v?(\d{1,9})|latest))?$/.exec(name) ?? [];
  if (run === "") throw new Error(`"${visible(name)}" is no checkpoint. Write RUN, RUN@VERSION or RUN@latest, for example digits@60.`);
  const { archive, version: found } = chosen(run, version, await checkpointsOf(url, run));
  const file = out ?? `${run}-v${String(found).padStart(6, "0")}.zip`;
  await refuseExisting(file, force);
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
