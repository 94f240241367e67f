// What a coordinator is started with, and the values that stand where nothing is said. Reads no files and no environment.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { StartError } from "./start-error.ts";

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";

export interface LogTarget {
  write(line: string): void;
}

export interface CoordinatorConfig {
  /** 0: any free port. */
  readonly port?: number;
  readonly host?: string;
  readonly dataFolder?: string;
  /** PEM files; both or none. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** Folder of the built web application; null: none is served. */
  readonly webRoot?: string | null;
  /** Further origins under which this coordinator is reached (a reverse proxy, a development server): `https://weft.example.org`. */
  readonly origins?: readonly string[];
  /** A software WebGPU adapter counts as a GPU; for tests. */
  readonly allowSoftwareGpu?: boolean;
  readonly logLevel?: LogLevel;
  /** Where log lines (JSON, one each) go; standard error unless said. */
  readonly logTo?: LogTarget;
  /** Shown to volunteers as the coordinator's name. */
  readonly name?: string;
  /** Make the two demonstration runs where there is no run. */
  readonly demonstrations?: boolean;
  /** Revision of the code, as it stands in the ledgers of new runs. */
  readonly code?: string;
  /** For tests: the clock of sign-in tokens. */
  readonly now?: () => number;
}

export interface Settings {
  readonly port: number;
  readonly host: string;
  readonly dataFolder: string;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly webRoot: string | null;
  readonly origins: readonly string[];
  readonly allowSoftwareGpu: boolean;
  readonly logLevel: LogLevel;
  readonly logTo: LogTarget | null;
  readonly name: string;
  readonly demonstrations: boolean;
  readonly code: string;
  readonly now: () => number;
}

export const DEFAULT_PORT = 8787;
export const DEFAULT_HOST = "127.0.0.1";
export const DEFAULT_DATA_FOLDER = ".weft";

const originOf = (text: string): string => {
  try {
    const url = new URL(text);
    if (url.protocol === "http:" || url.protocol === "https:") return url.origin;
  } catch {
    // falls through to the sentence below
  }
  throw new StartError("bad-config", `The origin "${text}" is not an address such as https://weft.example.org.`);
};

/** Fills in what is not said and refuses what contradicts itself. */
export function settingsOf(config: CoordinatorConfig): Settings {
  const port = config.port ?? DEFAULT_PORT;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new StartError("bad-config", `The port ${String(port)} is not a whole number from 0 to 65535.`);
  if ((config.tlsCert === undefined) !== (config.tlsKey === undefined))
    throw new StartError("tls-missing", "HTTPS needs both a certificate (--tls-cert) and its key (--tls-key); only one of them was given.");
  for (const file of [config.tlsCert, config.tlsKey])
    if (file !== undefined && !existsSync(file)) throw new StartError("tls-missing", `There is no TLS file ${resolve(file)}.`);
  return {
    port,
    host: config.host ?? DEFAULT_HOST,
    dataFolder: resolve(config.dataFolder ?? DEFAULT_DATA_FOLDER),
    tls: config.tlsCert === undefined || config.tlsKey === undefined ? null : { cert: config.tlsCert, key: config.tlsKey },
    webRoot: config.webRoot ?? null,
    origins: (config.origins ?? []).map(originOf),
    allowSoftwareGpu: config.allowSoftwareGpu ?? false,
    logLevel: config.logLevel ?? "info",
    logTo: config.logTo ?? null,
    name: config.name ?? "Weft coordinator",
    demonstrations: config.demonstrations ?? true,
    code: config.code ?? "weft-0.1.0",
    now: config.now ?? Date.now,
  };
}
