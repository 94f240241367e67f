// `weft runs`: list, show, create, pause, resume, stop, export, import. Prints what the coordinator says; decides nothing.
import { readFile } from "node:fs/promises";
import { type RunDetail, RunId, type RunSummary } from "@weft/protocol";
import type { Command } from "commander";
import { getJson, sendCommand, withUrl } from "./api.ts";
import { columns, visible, visibleJson } from "./columns.ts";
import { registerArchive } from "./runs-archive.ts";

interface Target {
  readonly url: string;
  readonly data: string;
}

const quality = ({ accuracy, heldOutLoss }: RunSummary): string =>
  accuracy !== null ? `${(100 * accuracy).toFixed(1)} %` : heldOutLoss !== null ? heldOutLoss.toFixed(3) : "";

const told = (run: RunDetail): string => {
  const checkpoint = run.newestCheckpoint;
  const refused = Object.entries(run.rejectedByCode).map(([code, count]) => `${count} ${code}`);
  const rows = [
    ["state", `${run.phase}, v${run.version} of ${run.versions}`],
    ["why", run.round.reason],
    ["held-out", quality(run) || "not measured yet"],
    ["model", `${run.model}, ${run.parameters} parameters, to be published under ${run.license}`],
    ["data", `${run.dataset.name}, ${run.dataset.license}; ${run.manifest.attribution}`],
    ["volunteers", `${run.volunteersNow} now, ${run.volunteersEver} ever`],
    ["refused", refused.join(", ") || "nothing"],
    ["checkpoint", checkpoint === null ? "none yet" : `v${checkpoint.version}, ${checkpoint.archive.sizeBytes} bytes`],
  ];
  return `${visible(run.name)}: ${visible(run.description)}\n${columns(rows)}`;
};

/** A specification as a file holds it. */
async function readSpec(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Error(`${file} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  });
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    throw new Error(`${file} is no JSON (${error instanceof Error ? error.message : String(error)}).`);
  }
}

export function registerRuns(program: Command): void {
  const runs = program.command("runs").description("watch and steer the runs of a coordinator");
  const withData = (command: Command): Command =>
    withUrl(command).option("--data <folder>", "the coordinator's data folder, whose key signs you in", ".weft");

  withUrl(runs.command("list").description("every run, a line each")).action(async ({ url }: Target) => {
    const all = await getJson<readonly RunSummary[]>(url, "/api/runs");
    const rows = all.map((run) => [
      run.run,
      run.phase,
      `v${run.version} of ${run.versions}`,
      quality(run),
      run.model,
      `${run.dataset.name}, ${run.dataset.license}`,
      `${run.volunteersNow} now`,
    ]);
    process.stdout.write(`${columns([["run", "state", "version", "held-out", "model", "data", "volunteers"], ...rows])}\n`);
  });

  withUrl(
    runs.command("show <run>").description("one run: its state, and why its round waits").option("--json", "everything, as JSON"),
  ).action(async (id: string, { url, json }: Target & { readonly json?: boolean }) => {
    const run = await getJson<RunDetail>(url, `/api/runs/${encodeURIComponent(id)}`);
    process.stdout.write(`${json === true ? visibleJson(run) : told(run)}\n`);
  });

  withData(runs.command("create <specification.json>").description("start a run; mistakes are named before anything starts")).action(
    async (file: string, { url, data }: Target) => {
      const spec = await readSpec(file);
      const { run } = await sendCommand<{ readonly run: string }>(url, data, { type: "create-run", spec });
      process.stdout.write(`${visible(run)} is running: ${new URL(`/runs/${run}`, url).href}\n`);
    },
  );

  for (const [verb, done] of [
    ["pause", "paused"],
    ["stop", "stopped"],
  ] as const) {
    withData(runs.command(`${verb} <run>`).description(`${verb} a run`)).action(async (run: string, { url, data }: Target) => {
      await sendCommand(url, data, { type: `${verb}-run`, run });
      process.stdout.write(`${visible(run)} is ${done}.\n`);
    });
  }

  withData(
    runs
      .command("resume <run|checkpoint.zip>")
      .description("go on with a paused run, or begin a run that goes on from a checkpoint file")
      .option("--name <name>", "of a checkpoint: what the new run is called; as its parent unless said"),
  ).action(async (what: string, { url, data, name }: Target & { readonly name?: string }) => {
    if (isRunId(what)) {
      await sendCommand(url, data, { type: "resume-run", run: what });
      process.stdout.write(`${visible(what)} is running.\n`);
      return;
    }
    const { resumeCheckpoint } = await import("../audit/resume-checkpoint.ts");
    const { run, origin, versions, coordinator } = await resumeCheckpoint(what, data, name);
    process.stdout.write(
      `${visible(run)} goes on from version ${origin.version} of ${visible(origin.run)}, with ${versions - origin.steps} versions to make. The checkpoint is signed by ${coordinator}.\n` +
        `It starts with a coordinator: weft serve --data ${visible(data)}\n`,
    );
  });

  registerArchive(runs);
}

const isRunId = (text: string): boolean => RunId.safeParse(text).success;
