// `weft serve`: starts a coordinator, lends this machine to it, shows its progress, and stops it in order.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { StartedCoordinator } from "@weft/coordinator-app";
import { DEFAULT_DATA_FOLDER, DEFAULT_HOST, DEFAULT_PORT, type LogLevel } from "@weft/coordinator-app/config";
import { keepNurserySmall } from "@weft/coordinator-app/memory";
import closeWithGrace from "close-with-grace";
import { type Command, InvalidArgumentError, Option } from "commander";
import { lendThisMachine } from "../serve/local-volunteers.ts";
import { progressLine } from "../serve/progress-lines.ts";
import { Terminal } from "../serve/terminal.ts";

const REDRAW_MS = 500;
/** The promise is 10 s from Ctrl-C to the end. */
const STOP_MS = 9_500;

interface ServeOptions {
  readonly port: number;
  readonly host: string;
  readonly data: string;
  readonly volunteers: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly open: boolean;
  readonly origin: readonly string[];
  readonly devOrigin?: string;
  readonly logLevel: LogLevel;
}

const wholeNumber =
  (low: number, high: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };

/** The built web application beside this file's bundle, or beside its source; null where it is not built. */
function webRoot(): string | null {
  for (const path of ["../../web/dist/", "../../../web/dist/"]) {
    const folder = new URL(path, import.meta.url);
    if (existsSync(new URL("index.html", folder))) return fileURLToPath(folder);
  }
  return null;
}

function greet(terminal: Terminal, { addresses, adminUrl, recovered }: StartedCoordinator): void {
  terminal.say(
    [
      "",
      "  Weft is running.",
      "",
      `  Lend a GPU   ${addresses.volunteer}`,
      `  Admin        ${adminUrl}${adminUrl.includes("#token=") ? "   (signs in once, within 15 minutes)" : ""}`,
      `  Runs         ${addresses.runs}`,
      ...addresses.elsewhere.map((address) => `  Elsewhere    ${address}`),
      "",
      "  Ctrl-C stops it; starting again goes on where it was.",
      "",
    ].join("\n"),
  );
  for (const sentence of recovered) terminal.say(`Note: ${sentence}`);
}

async function serve(options: ServeOptions): Promise<void> {
  const terminal = new Terminal(process.stdout);
  // Before anything large is loaded: a nursery that has grown stays.
  keepNurserySmall();
  // Only this command needs the coordinator; the others start quickly without it.
  const { startCoordinator } = await import("@weft/coordinator-app");
  const started = await startCoordinator({
    port: options.port,
    host: options.host,
    dataFolder: options.data,
    webRoot: webRoot(),
    origins: [...options.origin, ...(options.devOrigin === undefined ? [] : [options.devOrigin])],
    allowSoftwareGpu: process.env.WEFT_ALLOW_SOFTWARE_GPU === "1",
    logLevel: options.logLevel,
    logTo: { write: (line) => terminal.say(line) },
    ...(options.tlsCert === undefined ? {} : { tlsCert: options.tlsCert }),
    ...(options.tlsKey === undefined ? {} : { tlsKey: options.tlsKey }),
  });
  const { coordinator, addresses } = started;
  greet(terminal, started);
  const show = (): void => {
    const details = coordinator.runs().flatMap(({ run }) => coordinator.detail(run) ?? []);
    terminal.show(details.map(progressLine));
  };
  const drawing = setInterval(show, REDRAW_MS);
  const lent = await lendThisMachine({
    url: addresses.volunteer,
    volunteers: options.volunteers,
    open: options.open,
    secure: options.tlsCert !== undefined,
    say: (line) => terminal.say(line),
  });
  const grace = closeWithGrace({ delay: STOP_MS, logger: false, skip: ["beforeExit"] }, async ({ err, signal }) => {
    clearInterval(drawing);
    show();
    if (err !== undefined) terminal.say(`The coordinator ends because of an error: ${err.message}`);
    else terminal.say(`${signal === "SIGINT" ? "\n" : ""}Stopping: what is arriving is finished and stored. Once more to stop at once.`);
    await started.stop();
    await lent.end();
    if (err === undefined) terminal.say("Stopped.");
  });
  started.failure.then(
    (error) => {
      terminal.say(`The coordinator cannot go on: ${error.message}`);
      process.exitCode = 1;
      grace.uninstall();
      void started.stop().finally(() => process.exit(1));
    },
    () => undefined,
  );
}

export function registerServe(program: Command): void {
  program
    .command("serve")
    .description("start a coordinator here, with its pages, and lend this machine to it")
    .option("--port <port>", "port of the pages and of the volunteers", wholeNumber(0, 65_535), DEFAULT_PORT)
    .option("--host <address>", "address to listen on; 0.0.0.0 for every network of this machine", DEFAULT_HOST)
    .option("--data <folder>", "folder that holds everything", DEFAULT_DATA_FOLDER)
    .option("--volunteers <count>", "how many volunteers this machine starts; 0 for none", wholeNumber(0, 64), 1)
    .option("--tls-cert <file>", "PEM certificate: serve HTTPS, which other machines' browsers need for WebGPU")
    .option("--tls-key <file>", "PEM key of the certificate")
    .option("--no-open", "do not open a browser")
    .option(
      "--origin <origin>",
      "another address under which this coordinator is reached, such as https://weft.example.org; may be repeated",
      (origin: string, before: readonly string[]) => [...before, origin],
      [] as readonly string[],
    )
    .addOption(new Option("--dev-origin <origin>", "origin of the development server").hideHelp())
    .addOption(new Option("--log-level <level>", "what is logged").choices(["silent", "error", "warn", "info", "debug"]).default("warn"))
    .action(serve);
}
