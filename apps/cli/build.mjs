// Bundles the command line and the coordinator's worker threads to apps/cli/dist: our own packages go in, everything from npm stays outside.
// Then compresses the built web application beside it, so that the coordinator never has to.
import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build } from "esbuild";
import { npmStaysOutside } from "../../scripts/lib/npm-stays-outside.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const WORKERS = ["storage-worker", "compute-worker", "fold-worker", "evaluation-worker", "embedded-worker"];
const COMPRESSED = new Set([".html", ".js", ".mjs", ".css", ".json", ".svg", ".txt", ".webmanifest"]);
/** Below it the headers weigh more than what is saved. */
const WORTH_BYTES = 1024;

async function bundle() {
  const outdir = join(HERE, "dist");
  await rm(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: join(HERE, "../.."),
    entryPoints: {
      main: "apps/cli/src/main.ts",
      ...Object.fromEntries(WORKERS.map((name) => [`workers/${name}`, `apps/coordinator/src/workers/${name}.ts`])),
      "workers/engine-thread": "apps/cli/src/volunteer/workers/engine-thread.ts",
      "workers/kernel-thread": "apps/cli/src/volunteer/workers/kernel-thread.ts",
    },
    outdir,
    bundle: true,
    // Chunks lie beside main.js, so that what is found relative to a module's own address is found from every chunk alike.
    splitting: true,
    chunkNames: "[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    legalComments: "none",
    logLevel: "warning",
    plugins: [npmStaysOutside],
  });
}

async function compressWeb() {
  const root = join(HERE, "../web/dist");
  if (!existsSync(root)) return;
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() || !COMPRESSED.has(extname(file))) continue;
    const bytes = await readFile(file);
    if (bytes.length < WORTH_BYTES) continue;
    const zipped = await promisify(gzip)(bytes, { level: 9 });
    // Quality 9 of 11: the last two levels take ten times as long for two per cent.
    const brotli = await promisify(brotliCompress)(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
    if (zipped.length < bytes.length) await writeFile(`${file}.gz`, zipped);
    if (brotli.length < bytes.length) await writeFile(`${file}.br`, brotli);
  }
}

await Promise.all([bundle(), compressWeb()]);
