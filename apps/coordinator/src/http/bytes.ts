// Immutable bytes by hash over HTTP: ranges, ETag, HEAD, and never more than one piece of a blob in memory. Knows no runs.
import { type BlobStore, StorageFault } from "@weft/storage";
import type { Context } from "hono";
import { stop } from "./answers.ts";
import { chooseRange } from "./ranges.ts";

/** Bytes read from storage at once while a blob goes out. */
const PIECE_BYTES = 1024 * 1024;
const IMMUTABLE = "public, max-age=31536000, immutable";

export interface Served {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called with each piece's length as it leaves. */
  readonly sent: (bytes: number) => void;
}

function piecewise(
  blobs: BlobStore,
  sha256: string,
  start: number,
  end: number,
  sent: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  let position = start;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = Math.min(end, position + PIECE_BYTES);
        const piece = await blobs.getRange(sha256, position, next);
        if (piece === null || piece.length !== next - position) throw new StorageFault("damaged", `blob ${sha256} is shorter than it was`);
        position = next;
        sent(piece.length);
        controller.enqueue(piece);
        if (position >= end) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Answers 200, 206, 304 or 416 for a blob that exists. */
export function serveBytes(context: Context, blobs: BlobStore, { sha256, sizeBytes, headers: further = {}, sent }: Served): Response {
  const etag = `"${sha256}"`;
  const headers = new Headers({
    "content-type": "application/octet-stream",
    "cache-control": IMMUTABLE,
    "accept-ranges": "bytes",
    etag,
    ...further,
  });
  const known = context.req.header("if-none-match");
  if (known !== undefined && (known === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag)))
    return context.newResponse(null, { status: 304, headers });
  const ifRange = context.req.header("if-range");
  const range = chooseRange(ifRange === undefined || ifRange === etag ? (context.req.header("range") ?? null) : null, sizeBytes);
  if (range.kind === "unsatisfiable") {
    context.header("content-range", `bytes */${sizeBytes}`);
    return context.json({ ok: false, code: "bad-message", message: `The range lies beyond the ${sizeBytes} bytes there are.` }, 416);
  }
  const [start, end] = range.kind === "part" ? [range.start, range.end] : [0, sizeBytes];
  headers.set("content-length", String(end - start));
  if (range.kind === "part") headers.set("content-range", `bytes ${start}-${end - 1}/${sizeBytes}`);
  const status = range.kind === "part" ? 206 : 200;
  if (context.req.method === "HEAD" || end === start) return context.newResponse(null, { status, headers });
  return context.newResponse(piecewise(blobs, sha256, start, end, sent), { status, headers });
}

/** Length of a blob, or the refusal that there is none. */
export async function sizeOrStop(blobs: BlobStore, sha256: string): Promise<number> {
  const sizeBytes = /^[0-9a-f]{64}$/.test(sha256) ? await blobs.size(sha256) : null;
  return sizeBytes ?? stop("unknown-blob", "There is no blob of this name. A name is 64 lower-case hexadecimal digits.");
}
