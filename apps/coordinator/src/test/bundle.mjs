// Bundles the killable coordinator with its threads to the folder that is named: started a hundred times, it starts several times faster
// than from source.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { npmStaysOutside } from "../../../../scripts/lib/npm-stays-outside.mjs";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "..");
const WORKERS = ["compute-worker", "fold-worker", "evaluation-worker", "embedded-worker"];
// Under the name of its folder, so that what lies beside a module is found from every chunk alike.
const HERE = ["killable-coordinator", "faulty-storage-worker"];

await build({
  entryPoints: Object.fromEntries([
    ...HERE.map((name) => [name, join(SOURCE, "test", `${name}.ts`)]),
    ...WORKERS.map((name) => [`workers/${name}`, join(SOURCE, "workers", `${name}.ts`)]),
  ]),
  outdir: process.argv[2],
  bundle: true,
  splitting: true,
  chunkNames: "[name]-[hash]",
  format: "esm",
  platform: "node",
  target: "node20",
  logLevel: "warning",
  plugins: [npmStaysOutside],
});
