// `weft runs export` and `weft runs import`: a run as one file, and back. Prints; the file's form is @weft/audit's.
import { NotWhole, SourceDamaged, writeArchive } from "@weft/audit";
import type { Command } from "commander";
import { importRun } from "../audit/import-run.ts";
import { liveLine } from "../audit/live-line.ts";
import { makeHash, withArchive, withSubjects } from "../audit/open-subjects.ts";
import { refuseExisting, withSpool, writeWhole } from "../files/write-whole.ts";
import { withUrl } from "./api.ts";
import { visible } from "./columns.ts";

interface ExportOptions {
  readonly url: string;
  readonly data?: string;
  readonly out?: string;
  readonly force?: boolean;
  /** commander's form of --without-data. */
  readonly withoutData?: boolean;
}

const counted = (count: number, one: string): string => `${count.toLocaleString("en-US")} ${one}${count === 1 ? "" : "s"}`;

async function exportRun(run: string, { out, force = false, withoutData = false, ...where }: ExportOptions): Promise<void> {
  const file = out ?? `${run}.weft`;
  await refuseExisting(file, force);
  const line = liveLine();
  const written = await withSubjects(run, where, ([subject]) =>
    withSpool(file, async (spool) => {
      if (subject === undefined) throw new Error(`There is no run "${visible(run)}".`);
      let result: Awaited<ReturnType<typeof writeArchive>> | null = null;
      await writeWhole(file, force, async (append) => {
        result = await writeArchive({
          source: subject.source,
          withData: !withoutData,
          spool,
          append,
          makeHash,
          onProgress: ({ entries, sizeBytes }) => line.show(() => `${run}: ${entries} parts, ${sizeBytes} bytes`),
        }).catch((error: unknown) => {
          if (error instanceof NotWhole || error instanceof SourceDamaged)
            throw new Error(`${error.message} The run was not exported; \`weft verify\` says what is wrong with it.`);
          throw error;
        });
      });
      return result as Awaited<ReturnType<typeof writeArchive>> | null;
    }),
  ).finally(() => line.end());
  if (written === null) return;
  const { table, sizeBytes, contributions, givenUp, sha256 } = written;
  const gone = givenUp > 0 ? ` (${counted(givenUp, "other")} given up before)` : "";
  const data = withoutData ? "; the data set is left out" : "";
  process.stdout.write(
    `${visible(file)}: ${counted(table.head.seq + 1, "record")}, ${counted(contributions, "contribution")}${gone}${data}; ${counted(sizeBytes, "byte")}, digest ${sha256}\n`,
  );
}

async function importFile(file: string, { data }: { readonly data: string }): Promise<void> {
  const line = liveLine();
  const done = await withArchive(file, (archive) => importRun(file, archive, data, (text) => line.show(() => text))).finally(() =>
    line.end(),
  );
  const { run, phase, version, records, contributions, dataset } = done;
  const next =
    phase === "running" || phase === "paused"
      ? `It is ${phase} and goes on when a coordinator is started there: weft serve --data ${data}`
      : `It is ${phase}; its pages are there when a coordinator is started: weft serve --data ${data}`;
  process.stdout.write(
    `${visible(run)} is in ${visible(data)} now: version ${version}, ${counted(records, "record")}, ${counted(contributions, "contribution")}.\n` +
      `${dataset === null ? "" : `Its data set ${visible(dataset)} was added.\n`}${visible(next)}\n`,
  );
}

export function registerArchive(runs: Command): void {
  withUrl(runs.command("export <run>").description("write a run as one file: ledger, weights of every version, contributions, data"))
    .option("--out <file>", "where to write it; RUN.weft here unless said")
    .option("--data <folder>", "read the run from this data folder, whose coordinator is stopped, instead of asking a coordinator")
    .option("--without-data", "leave the data set's shards out; only their hashes go in")
    .option("--force", "overwrite a file that is there")
    .action(exportRun);

  runs
    .command("import <file>")
    .description("restore an exported run into a data folder, whose coordinator is stopped; training goes on from there")
    .option("--data <folder>", "the data folder", ".weft")
    .action(importFile);
}
