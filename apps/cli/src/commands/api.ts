// Talks to a coordinator over HTTP for the commands that watch or steer one. Knows the envelope, no command.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BlobRef, Result } from "@weft/protocol";
import { type Command, InvalidArgumentError } from "commander";

export const DEFAULT_URL = "http://localhost:8787";
/** A question is answered from memory; a command waits for the disk. */
const ANSWER_MS = 30_000;

const baseOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin;
  throw new InvalidArgumentError(`It must be an address such as ${DEFAULT_URL}.`);
};
export const withUrl = (command: Command): Command => command.option("--url <url>", "the coordinator", baseOf, DEFAULT_URL);

const isEnvelope = (value: unknown): value is Result<unknown> => {
  if (typeof value !== "object" || value === null || !("ok" in value)) return false;
  return value.ok === true ? "value" in value : value.ok === false && "message" in value && typeof value.message === "string";
};

/** The system's own words where there are any: `self-signed certificate`, `connect ECONNREFUSED 127.0.0.1:8787`. */
const causeOf = (error: unknown): { readonly code: string; readonly message: string } => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return { code: "", message: String(cause) };
  return { code: "code" in cause ? String(cause.code) : cause.name, message: cause.message };
};

/** Throws a sentence where nobody answers there. */
export async function reach(url: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const { origin } = new URL(url);
    const { code, message } = causeOf(error);
    if (code === "TimeoutError") throw new Error(`${origin} did not answer within ${ANSWER_MS / 1000} s.`);
    if (/CERT|SELF_SIGNED/.test(code))
      throw new Error(`The certificate of ${origin} is not trusted here (${message}). Name its file in NODE_EXTRA_CA_CERTS.`);
    throw new Error(`No coordinator answers at ${origin}. Start one with \`npm start\`, or name another with --url.`);
  }
}

/** The `value` of an answer. Throws an Error with the coordinator's own message for a refusal, with a hint where it has one. */
async function answerOf(response: Response, hints: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const body: unknown = await response.json().catch(() => null);
  if (!isEnvelope(body))
    throw new Error(`What answers at ${new URL(response.url).origin} (${response.status}) is no Weft coordinator. Name one with --url.`);
  if (body.ok) return body.value;
  const hint = hints[body.code];
  const message = /[.!?)]$/.test(body.message) ? body.message : `${body.message}.`;
  throw new Error(hint === undefined ? message : `${message} ${hint}`);
}

/** `T` is trusted: it is our own coordinator. */
export async function getJson<T>(base: string, path: string): Promise<T> {
  const response = await reach(new URL(path, base).href, { signal: AbortSignal.timeout(ANSWER_MS) });
  return (await answerOf(response)) as T;
}

/** Hands the bytes of a blob to `take` as they come; throws where they are not those that its hash and length name. */
export async function getBlob(
  base: string,
  path: string,
  { sha256, sizeBytes }: BlobRef,
  take: (piece: Uint8Array) => Promise<unknown>,
): Promise<void> {
  const response = await reach(new URL(path, base).href);
  if (!response.ok || response.body === null) {
    await answerOf(response);
    throw new Error(`The coordinator sent nothing (${response.status}).`);
  }
  const hash = createHash("sha256");
  const reader = response.body.getReader();
  let total = 0;
  try {
    for (;;) {
      const next = await reader.read().catch((error: unknown) => {
        throw new Error(`The download broke off after ${total} of ${sizeBytes} bytes (${causeOf(error).message}).`);
      });
      if (next.done) break;
      total += next.value.length;
      if (total > sizeBytes) break;
      hash.update(next.value);
      await take(next.value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (total !== sizeBytes)
    throw new Error(`The download has ${total > sizeBytes ? "more than" : `${total} bytes, not`} the ${sizeBytes} bytes that are due.`);
  const found = hash.digest("hex");
  if (found !== sha256) throw new Error(`The download has the SHA-256 ${found}, not ${sha256}, which the ledger names.`);
}

/** Sends an admin command, signed in by the key that the coordinator keeps in its data folder. */
export async function sendCommand<T>(base: string, dataFolder: string, command: unknown): Promise<T> {
  const file = join(dataFolder, "admin.key");
  const key = await readFile(file, "utf8").then(
    (text) => text.trim(),
    () => {
      throw new Error(`${file} cannot be read. Run this on the coordinator's machine and name its data folder with --data.`);
    },
  );
  if (!/^[0-9a-f]{64}$/.test(key)) throw new Error(`${file} does not hold 64 hexadecimal digits; it is no coordinator's key.`);
  const response = await reach(new URL("/api/admin/command", base).href, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, origin: new URL(base).origin },
    body: JSON.stringify(command),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const hints = { unauthorized: `The key in ${file} is not that of the coordinator at ${new URL(base).origin}.` };
  return (await answerOf(response, hints)) as T;
}
