// A real coordinator for a test: real threads and files in a folder of its own, real sockets on a free loopback port.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CoordinatorConfig } from "../config.ts";
import { type StartedCoordinator, startCoordinator } from "../start.ts";

export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "weft-coordinator-"));

export interface TestCoordinator {
  readonly started: StartedCoordinator;
  readonly folder: string;
  readonly origin: string;
  readonly adminKey: string;
  raw(options: RawRequest): Promise<RawAnswer>;
  /** Stops it; keeps the folder. */
  stop(): Promise<void>;
  /** Stops it and removes the folder. */
  end(): Promise<void>;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  readonly json: any;
}

/** A request as it is written, path unchanged, which `fetch` would tidy up first. */
export function raw(origin: string, { method = "GET", path, headers = {}, body }: RawRequest): Promise<RawAnswer> {
  const { hostname, port, protocol } = new URL(origin);
  const send = protocol === "https:" ? secureRequest : request;
  return new Promise((resolve, reject) => {
    const outgoing = send(
      { hostname, port, path, method, headers: { host: `localhost:${port}`, ...headers }, agent: false, rejectUnauthorized: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const text = bytes.toString("utf8");
          let json: unknown = null;
          try {
            json = JSON.parse(text);
          } catch {
            // Not every answer is JSON.
          }
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes, text, json });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

export async function startTestCoordinator(config: CoordinatorConfig = {}): Promise<TestCoordinator> {
  const folder = config.dataFolder ?? (await temporaryFolder());
  const started = await startCoordinator({ port: 0, logLevel: "silent", demonstrations: false, ...config, dataFolder: folder });
  const origin = new URL(started.addresses.volunteer).origin;
  const stop = () => started.stop();
  return {
    started,
    folder,
    origin,
    adminKey: (await readFile(join(folder, "admin.key"), "utf8")).trim(),
    raw: (options) => raw(origin, options),
    stop,
    async end() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const cookieOf = (answer: RawAnswer): string =>
  ([answer.headers["set-cookie"]].flat() as (string | undefined)[]).map((cookie) => cookie?.split(";")[0] ?? "").join("; ");

export const post = (origin: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Omit<RawRequest, "path"> => ({
  method: "POST",
  headers: { "content-type": "application/json", origin, ...headers },
  body: JSON.stringify(body),
});
