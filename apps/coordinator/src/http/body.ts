// Reads a request's body with a bound, however it is sent: with a length, in chunks, or not at all. Knows no routes and no schemas.
import { MAX_JSON_BODY_BYTES } from "@weft/protocol";
import type { Context } from "hono";
import { stop } from "./answers.ts";

const tooLarge = (): never => stop("too-large", `A body has at most ${MAX_JSON_BODY_BYTES} bytes.`);

/** What says its length is refused before a byte of it is read. */
export function refuseLongBody(context: Context): void {
  const length = context.req.header("content-length");
  if (length !== undefined && Number(length) > MAX_JSON_BODY_BYTES) tooLarge();
}

/** At most MAX_JSON_BODY_BYTES bytes; without a body: none. A sender that goes away or is too slow ends in a refusal. */
async function readBytes(context: Context): Promise<Uint8Array> {
  refuseLongBody(context);
  const body = context.req.raw.body;
  if (body === null) return new Uint8Array(0);
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => stop("bad-message", "The body ended before it was whole."));
    if (done) return Buffer.concat(chunks);
    sizeBytes += value.length;
    if (sizeBytes > MAX_JSON_BODY_BYTES) {
      // What comes after is read and thrown away by the server, or the connection ends.
      reader.releaseLock();
      tooLarge();
    }
    chunks.push(value);
  }
}

/** The JSON body. */
export async function readJson(context: Context): Promise<unknown> {
  if (!/^application\/json\s*(?:;|$)/i.test(context.req.header("content-type") ?? ""))
    stop("bad-message", 'The body must be JSON, with "content-type: application/json".');
  const bytes = await readBytes(context);
  if (bytes.length === 0) stop("bad-message", "The body is missing.");
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return stop("bad-message", "The body is not JSON.");
  }
}

/** The JSON body, as `schema` has it. */
export async function readBody<T>(context: Context, schema: { safeParse(value: unknown): { success: boolean; data?: T } }): Promise<T> {
  const parsed = schema.safeParse(await readJson(context));
  if (!parsed.success || parsed.data === undefined) stop("bad-message", "The body lacks a field, or has one of the wrong form.");
  return parsed.data;
}
