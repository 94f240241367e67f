// Talks to a coordinator over HTTP for the commands that watch or steer one. Knows the envelope, no command.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Refusal, Result } from "@weft/protocol";

export const DEFAULT_URL = "http://localhost:8787";

const isEnvelope = (value: unknown): value is Result<unknown> =>
  typeof value === "object" && value !== null && "ok" in value && typeof value.ok === "boolean";

async function reach(url: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch {
    throw new Error(`No coordinator answers at ${new URL(url).origin}. Start one with \`npm start\`, or name another with --url.`);
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const body: unknown = await response.json().catch(() => null);
  return isEnvelope(body) && !body.ok
    ? body
    : { ok: false, code: "internal", message: `The coordinator answered ${response.status} without an explanation.` };
}

/** The `value` of a JSON answer. Throws an Error with the coordinator's own message for a refusal. `T` is trusted: it is our own coordinator. */
export async function getJson<T>(base: string, path: string): Promise<T> {
  const response = await reach(new URL(path, base).href);
  if (!response.ok) throw new Error((await refusalOf(response)).message);
  const body = (await response.json()) as { readonly value: T };
  return body.value;
}

export async function getBytes(base: string, path: string): Promise<{ readonly bytes: Uint8Array; readonly name: string | null }> {
  const response = await reach(new URL(path, base).href);
  if (!response.ok) throw new Error((await refusalOf(response)).message);
  const name = /filename="([\w.-]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? null;
  return { bytes: new Uint8Array(await response.arrayBuffer()), name };
}

/** Sends an admin command, signed in by the key that the coordinator keeps in its data folder. */
export async function sendCommand<T>(base: string, dataFolder: string, command: unknown): Promise<T> {
  const key = await readFile(join(dataFolder, "admin.key"), "utf8").catch(() => {
    throw new Error(
      `${join(dataFolder, "admin.key")} cannot be read. Run this on the coordinator's machine and name its data folder with --data.`,
    );
  });
  const response = await reach(new URL("/api/admin/command", base).href, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key.trim()}`, origin: new URL(base).origin },
    body: JSON.stringify(command),
  });
  if (!response.ok) throw new Error((await refusalOf(response)).message);
  const body = (await response.json()) as { readonly value: T };
  return body.value;
}
