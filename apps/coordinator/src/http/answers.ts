// How every HTTP answer looks: JSON `{ ok: true, value }` or the shared refusal with its code's status. The one place where errors become answers.
import { ERROR_CODES, type ErrorCode, type Refusal, type Result } from "@weft/protocol";
import { StorageFault } from "@weft/storage";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** A refusal on its way up to the one error handler. */
export class Refused extends Error {
  readonly refusal: Refusal;
  readonly headers: Readonly<Record<string, string>>;
  constructor(refusal: Refusal, headers: Readonly<Record<string, string>> = {}) {
    super(refusal.message);
    this.name = "Refused";
    this.refusal = refusal;
    this.headers = headers;
  }
}
export function stop(code: ErrorCode, message: string, retryAfterMs?: number): never {
  throw new Refused(retryAfterMs === undefined ? { ok: false, code, message } : { ok: false, code, message, retryAfterMs });
}

/** JSON answers speak of this moment: no cache keeps them. */
export const NO_STORE = { "cache-control": "no-store" } as const;

export function answer(context: Context, result: Result<unknown>, headers: Readonly<Record<string, string>> = {}): Response {
  if (result.ok) return context.json({ ok: true, value: result.value }, 200, { ...NO_STORE, ...headers });
  const after: Record<string, string> =
    result.retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(result.retryAfterMs / 1000)) };
  return context.json(result, ERROR_CODES[result.code].status as ContentfulStatusCode, { ...NO_STORE, ...after, ...headers });
}

/** Turns anything thrown into a refusal; what is unexpected says nothing of its inside to the caller. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof StorageFault) return { ok: false, code: error.code, message: error.message };
  return { ok: false, code: "internal", message: "Something went wrong here; it was written to the coordinator's log." };
}
