// Under which addresses people reach this coordinator. Knows no server.
import { networkInterfaces } from "node:os";
import { isLoopbackHost } from "./http/origins.ts";

export interface Addresses {
  /** On this machine; browsers grant WebGPU to localhost. */
  readonly volunteer: string;
  readonly admin: string;
  readonly runs: string;
  /** From other machines; empty where only this one is served. */
  readonly elsewhere: readonly string[];
}

const bracket = (host: string): string => (host.includes(":") ? `[${host}]` : host);
const isEverywhere = (host: string): boolean => host === "0.0.0.0" || host === "::" || host === "";

export function addressesOf(host: string, port: number, secure: boolean): Addresses {
  const at = (name: string): string => `${secure ? "https" : "http"}://${bracket(name)}:${port}`;
  const here = isLoopbackHost(host) || isEverywhere(host) ? "localhost" : host;
  const others = isEverywhere(host)
    ? Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ internal, family }) => !internal && family === "IPv4"))
    : [];
  return {
    volunteer: `${at(here)}/`,
    admin: `${at(here)}/admin`,
    runs: `${at(here)}/runs`,
    elsewhere: others.map(({ address }) => `${at(address)}/`),
  };
}
