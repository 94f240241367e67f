// JSON over HTTP in the envelope that sockets use too. Knows no route and keeps no state.
import type { ErrorCode, Result } from "@weft/protocol";

/** What a refused or failed request throws: the coordinator's own code and sentence. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const isResult = (value: unknown): value is Result<unknown> =>
  typeof value === "object" &&
  value !== null &&
  "ok" in value &&
  (value.ok === true || (value.ok === false && "code" in value && "message" in value));

/** The value of an accepted reply; throws ApiError for a refusal and for anything that is not a reply of the coordinator. */
export async function open<T>(reply: Response): Promise<T> {
  let body: unknown;
  try {
    body = await reply.json();
  } catch {
    throw new ApiError("unavailable", `The coordinator answered ${reply.status} without a readable body.`);
  }
  if (!isResult(body)) throw new ApiError("unavailable", `The coordinator answered ${reply.status} in a shape this page does not know.`);
  if (!body.ok) throw new ApiError(body.code, body.message);
  return body.value as T;
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: "same-origin", ...init });
  } catch {
    throw new ApiError("unavailable", "The coordinator cannot be reached. It may be restarting; try again in a moment.");
  }
}

export const getJson = async <T>(path: string): Promise<T> => open<T>(await send(path, { headers: { accept: "application/json" } }));

export const postJson = async <T>(path: string, body: unknown): Promise<T> =>
  open<T>(await send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

/** One sentence for whatever went wrong. */
export const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : "Something went wrong.");
