// Starts the built coordinator as a user would, on a free loopback port and a folder of its own, and ends it by signal.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = new URL("../../apps/cli/dist/main.js", import.meta.url).pathname;
const START_LIMIT_MS = 60_000;

export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "weft-e2e-"));

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

export class CoordinatorProcess {
  readonly url: string;
  readonly port: number;
  readonly data: string;
  #child: ChildProcess | null = null;
  #output = "";
  readonly #more: readonly string[];

  private constructor(port: number, data: string, more: readonly string[]) {
    this.port = port;
    this.data = data;
    this.#more = more;
    this.url = `http://localhost:${port}`;
  }

  /** `more`: further words of `weft serve`. */
  static async start(
    options: { readonly port?: number; readonly data?: string; readonly volunteers?: number; readonly more?: readonly string[] } = {},
  ): Promise<CoordinatorProcess> {
    const { port = await freePort(), data = await temporaryFolder(), more = [] } = options;
    const coordinator = new CoordinatorProcess(port, data, more);
    await coordinator.#launch(options.volunteers ?? 0);
    return coordinator;
  }

  get output(): string {
    return this.#output;
  }
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the coordinator is not running");
    return pid;
  }
  /** The address with the one-time token that the terminal showed last. */
  get adminUrl(): string {
    const found = [...this.#output.matchAll(/https?:\/\/\S+\/admin#token=[\w-]+/g)].at(-1)?.[0];
    if (found === undefined) throw new Error(`no admin address in the terminal:\n${this.#output}`);
    return found;
  }

  async #launch(volunteers: number): Promise<void> {
    const child = spawn(
      process.execPath,
      [MAIN, "serve", "--port", String(this.port), "--data", this.data, "--volunteers", String(volunteers), ...this.#more],
      {
        env: { ...process.env, WEFT_ALLOW_SOFTWARE_GPU: "1" },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        this.#output += text;
      });
    }
    const untilMs = Date.now() + START_LIMIT_MS;
    while (Date.now() < untilMs) {
      if (child.exitCode !== null) throw new Error(`the coordinator ended with ${child.exitCode}:\n${this.#output}`);
      const healthy = await fetch(`${this.url}/api/health`).then(
        (response) => response.ok,
        () => false,
      );
      if (healthy) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the coordinator did not answer within ${START_LIMIT_MS} ms:\n${this.#output}`);
  }

  /** Ends it by `signal` and gives its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    child.kill(signal);
    const code = await ended;
    this.#child = null;
    return code;
  }

  async restart(): Promise<void> {
    await this.stop("SIGTERM");
    await this.#launch(0);
  }

  async json<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}${path}`);
    const body = (await response.json()) as { ok: boolean; value: T; message?: string };
    if (!body.ok) throw new Error(`${path}: ${body.message}`);
    return body.value;
  }

  async bytes(path: string): Promise<Uint8Array> {
    const response = await fetch(`${this.url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }
}
