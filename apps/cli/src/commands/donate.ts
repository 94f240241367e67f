// `weft donate URL`: lends this machine from Node, its GPU where the optional package `webgpu` is installed, else the processor. Ends with a
// goodbye within two seconds of SIGINT or SIGTERM.
import { createHash, randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { volunteerData } from "@weft/datasets";
import { isDisplayName } from "@weft/protocol";
import { drawSample, visitedSample } from "@weft/training";
import { httpBlobs, socketTransport, systemClock, Volunteer, type VolunteerEngine } from "@weft/volunteer";
import { type Command, InvalidArgumentError, Option } from "commander";
import { io } from "socket.io-client";
import { hasDawn, WITHOUT_DAWN } from "../volunteer/dawn.ts";
import { type Backend, type EngineWishes, nodeEngine } from "../volunteer/engine-thread.ts";
import { identityFrom } from "../volunteer/identity-file.ts";
import { progressText, statusText } from "../volunteer/progress.ts";
import { residualFiles } from "../volunteer/residual-files.ts";
import { DEFAULT_URL } from "./api.ts";

interface DonateOptions {
  readonly name?: string;
  readonly run?: string;
  readonly effort: number;
  readonly hours?: number;
  readonly backend: Backend;
  readonly key?: string;
  readonly local: boolean;
}

/** Where the output is no terminal, a line at most this often. */
const PLAIN_EVERY_MS = 10_000;
const REDRAW_MS = 250;

const effortOf = (text: string): number => {
  const effort = Number(text);
  if (effort >= 0.05 && effort <= 1) return effort;
  throw new InvalidArgumentError("It must be a number from 0.05 to 1.");
};
/** Timers count to 2^31 ms, which is a little less than 25 days. */
const MAX_HOURS = 590;
const hoursOf = (text: string): number => {
  const hours = Number(text);
  if (hours > 0 && hours <= MAX_HOURS) return hours;
  throw new InvalidArgumentError(`It must be a number above 0, at most ${MAX_HOURS}.`);
};
const nameOf = (text: string): string => {
  if (isDisplayName(text)) return text;
  throw new InvalidArgumentError("It must have 1 to 32 visible characters.");
};
export const coordinatorOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin;
  throw new InvalidArgumentError("It must be an address such as http://localhost:8787.");
};

function drawer(show: () => string): () => void {
  const { stdout } = process;
  let last = "";
  const draw = (): void => {
    const text = show();
    if (text === last) return;
    last = text;
    stdout.write(stdout.isTTY ? `\r\u001b[2K${[...text].slice(0, Math.max(20, stdout.columns - 1)).join("")}` : `${text}\n`);
  };
  const timer = setInterval(draw, stdout.isTTY ? REDRAW_MS : PLAIN_EVERY_MS);
  return () => {
    clearInterval(timer);
    draw();
    if (stdout.isTTY) stdout.write("\n");
  };
}

/** A GPU that was asked for and is not there is not waited for: a volunteer would try it again and again, as one that was lost. */
const gpuEngine = (wishes: EngineWishes): Promise<VolunteerEngine> =>
  nodeEngine(wishes).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`There is no GPU to lend here: ${reason}. Without \`--backend webgpu\` the processor is lent.`);
  });

async function lend(url: string, { name, run, effort, hours, backend, key, local }: DonateOptions): Promise<void> {
  if (backend === "webgpu" && !hasDawn()) throw new Error(WITHOUT_DAWN);
  // Beside a coordinator one processor is left to it.
  const wishes = { preference: backend, threads: availableParallelism() - (local ? 1 : 0) };
  let first = backend === "webgpu" ? await gpuEngine(wishes) : null;
  if (backend === "auto" && !local && !hasDawn()) process.stdout.write(`${WITHOUT_DAWN} Until then this lends the processor.\n`);
  const residuals = residualFiles(key ?? null);
  const volunteer = new Volunteer({
    identity: await identityFrom(key ?? null),
    createEngine: async () => {
      const engine = first ?? (await nodeEngine(wishes));
      first = null;
      return engine;
    },
    data: (blobs) => volunteerData({ blobs, draw: drawSample, visit: visitedSample }),
    blobs: httpBlobs(url),
    hash: async (bytes) => createHash("sha256").update(bytes).digest("hex"),
    clock: systemClock,
    transport: socketTransport(url, io),
    origin: url,
    name: name ?? null,
    effort,
    ...(residuals === null ? {} : { residuals }),
    seed: randomInt(2 ** 32),
  });
  const finishDrawing = drawer(() => progressText(volunteer.snapshot(), Date.now()));
  const ended = new Promise<void>((resolve) => {
    volunteer.subscribe(({ status }) => {
      if (status.state === "stopped" || status.state === "refused" || status.state === "unfit") resolve();
    });
  });
  const leave = (): void => void volunteer.stop();
  process.once("SIGINT", leave);
  process.once("SIGTERM", leave);
  // A volunteer that a coordinator started on its own machine ends with it.
  if (local) process.once("disconnect", leave);
  // The lease that is open then is done to its end.
  if (hours !== undefined) setTimeout(() => volunteer.finish(), hours * 3_600_000).unref();
  volunteer.start(run ?? null);
  await ended;
  await volunteer.stop();
  finishDrawing();
  const { status } = volunteer.snapshot();
  if (status.state !== "stopped") process.stderr.write(`${statusText(status, Date.now())}\n`);
  // A step that still runs in the engine's thread is of no use to anybody.
  process.exit(status.state === "stopped" ? 0 : 1);
}

export function registerDonate(program: Command): void {
  program
    .command("donate")
    .description("lend this machine to a coordinator without a browser: its GPU, or its processor")
    .argument("[url]", "the coordinator", coordinatorOf, DEFAULT_URL)
    .option("--name <name>", "a name to be shown with the work", nameOf)
    .option("--run <run>", "lend to this run only")
    .option("--effort <share>", "share of the time in which the device may be busy, 0.05 to 1", effortOf, 1)
    .option("--hours <hours>", "finish the open lease and leave after so many hours", hoursOf)
    .addOption(new Option("--backend <backend>", "where to compute").choices(["auto", "webgpu", "wasm", "cpu"]).default("auto"))
    .option("--key <file>", "keep the volunteer's key in this file, so that it stays the same volunteer")
    .addOption(new Option("--local", "started by a coordinator on this machine: ends with it").default(false).hideHelp())
    .action(lend);
}
