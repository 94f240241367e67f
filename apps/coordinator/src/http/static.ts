// The built web application: an index of its files made at start, so that a request can name nothing else. Knows no API.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { Readable } from "node:stream";
import type { Context } from "hono";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};
const ENCODINGS = [
  { name: "br", suffix: ".br" },
  { name: "gzip", suffix: ".gz" },
] as const;

interface StaticFile {
  readonly file: string;
  readonly sizeBytes: number;
  readonly type: string;
  readonly etag: string;
  /** The name carries a hash of the content. */
  readonly immutable: boolean;
  readonly encoded: readonly { readonly name: string; readonly file: string; readonly sizeBytes: number }[];
}
export type StaticSite = ReadonlyMap<string, StaticFile>;

async function* walk(folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** Every file below `root` by its path in a URL; files with an encoding's suffix become variants of their originals. */
export async function indexSite(root: string): Promise<StaticSite> {
  const paths = new Set<string>();
  for await (const path of walk(root)) paths.add(path);
  const site = new Map<string, StaticFile>();
  for (const path of paths) {
    if (ENCODINGS.some(({ suffix }) => path.endsWith(suffix) && paths.has(path.slice(0, -suffix.length)))) continue;
    const name = `/${relative(root, path).split(sep).join("/")}`;
    const encoded = [];
    for (const { name: encoding, suffix } of ENCODINGS)
      if (paths.has(path + suffix)) encoded.push({ name: encoding, file: path + suffix, sizeBytes: (await stat(path + suffix)).size });
    site.set(name, {
      file: path,
      sizeBytes: (await stat(path)).size,
      type: TYPES[extname(path).toLowerCase()] ?? "application/octet-stream",
      etag: `"${createHash("sha256")
        .update(await readFile(path))
        .digest("hex")
        .slice(0, 32)}"`,
      immutable: name.startsWith("/assets/"),
      encoded,
    });
  }
  return site;
}

const accepts = (header: string, encoding: string): boolean =>
  header.split(",").some((part) => {
    const [name = "", ...parameters] = part.trim().split(";");
    return name.trim().toLowerCase() === encoding && !parameters.some((parameter) => /^\s*q=0(?:\.0*)?\s*$/.test(parameter));
  });

/** The file under this path as an answer, with this status where it is sent; null where there is none. */
export function serveFile(context: Context, site: StaticSite, path: string, status: 200 | 404 = 200): Response | null {
  const found = site.get(path);
  if (found === undefined) return null;
  const headers = new Headers({
    "content-type": found.type,
    etag: found.etag,
    vary: "accept-encoding",
    "cache-control": found.immutable ? "public, max-age=31536000, immutable" : "no-cache",
  });
  if (status === 200 && context.req.header("if-none-match") === found.etag) return context.newResponse(null, { status: 304, headers });
  const variant = found.encoded.find(({ name }) => accepts(context.req.header("accept-encoding") ?? "", name));
  if (variant !== undefined) headers.set("content-encoding", variant.name);
  const { file, sizeBytes } = variant ?? found;
  headers.set("content-length", String(sizeBytes));
  if (context.req.method === "HEAD" || sizeBytes === 0) return context.newResponse(null, { status, headers });
  return context.newResponse(Readable.toWeb(createReadStream(file)) as ReadableStream, { status, headers });
}
