// `weft checkpoints`: list those of a run, pull one as a file. Never overwrites without being told.
import { writeFile } from "node:fs/promises";
import type { CheckpointView } from "@weft/protocol";
import type { Command } from "commander";
import { DEFAULT_URL, getBytes, getJson } from "./api.ts";
import { columns } from "./columns.ts";

export function registerCheckpoints(program: Command): void {
  const checkpoints = program.command("checkpoints").description("list and download checkpoints");

  checkpoints
    .command("list <run>")
    .description("the checkpoints of a run, newest first")
    .option("--url <url>", "the coordinator", DEFAULT_URL)
    .action(async (run: string, { url }: { readonly url: string }) => {
      const all = await getJson<readonly CheckpointView[]>(url, `/api/runs/${encodeURIComponent(run)}/checkpoints`);
      const rows = [...all]
        .sort((a, b) => b.version - a.version)
        .map((checkpoint) => [
          `v${checkpoint.version}`,
          new Date(checkpoint.atMs).toISOString(),
          checkpoint.heldOutLoss?.toFixed(3) ?? "",
          checkpoint.accuracy === null ? "" : `${(100 * checkpoint.accuracy).toFixed(1)} %`,
          String(checkpoint.archive.sizeBytes),
          checkpoint.weights.sha256,
        ]);
      process.stdout.write(`${columns([["version", "made", "held-out loss", "right", "bytes", "SHA-256 of the weights"], ...rows])}\n`);
    });

  checkpoints
    .command("pull <run[@version]>")
    .description("download a checkpoint as one file; the newest where no version is named")
    .option("--url <url>", "the coordinator", DEFAULT_URL)
    .option("--out <file>", "where to write it")
    .option("--force", "overwrite a file that is there")
    .action(async (name: string, { url, out, force }: { readonly url: string; readonly out?: string; readonly force?: boolean }) => {
      const [run = "", version = "latest"] = name.split("@");
      const { bytes, name: given } = await getBytes(url, `/api/runs/${encodeURIComponent(run)}/checkpoints/${encodeURIComponent(version)}`);
      const file = out ?? given ?? `${run}-${version}.zip`;
      await writeFile(file, bytes, { flag: force === true ? "w" : "wx" }).catch((error: NodeJS.ErrnoException) => {
        throw new Error(
          error.code === "EEXIST"
            ? `${file} is there already. Name another with --out, or overwrite it with --force.`
            : `${file} cannot be written: ${error.message}`,
        );
      });
      process.stdout.write(`${file}, ${bytes.length} bytes\n`);
    });
}
