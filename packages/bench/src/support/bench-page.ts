// A page for measuring engines: bundles of the bench's own on a loopback server, cross-origin isolated as the application is, in a headless
// Chromium with WebGPU. Knows no bench.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright";

/** Chromium's software adapter, where nobody asks for the machine's own. */
const SOFTWARE = ["--use-webgpu-adapter=swiftshader"];
const FLAGS = [
  "--enable-unsafe-webgpu",
  "--no-sandbox",
  // A software adapter on a busy machine is slow, not hung.
  "--disable-gpu-watchdog",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const WASM_FOLDER = dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"));
const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

export interface BenchPage {
  readonly page: Page;
  readonly browser: Browser;
  close(): Promise<void>;
}
export interface BenchPageOptions {
  /** A file of this package to run in the page itself. */
  readonly script: URL;
  /** Files to run in frames of it, one each, so that copies of a library share nothing. */
  readonly frames: readonly URL[];
  /** Files that the frames start as workers, at `/worker/` and the name of the file. Absent: none. */
  readonly workers?: readonly URL[];
  /** The machine's GPU instead of the software adapter. */
  readonly hardware: boolean;
}

async function bundle(script: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(script)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
    // The glue of TensorFlow.js's WASM looks for Node before it decides that it is in a browser.
    external: ["fs", "path", "crypto", "worker_threads", "perf_hooks", "os"],
  });
  return outputFiles[0]?.text ?? "";
}

export async function openBenchPage({ script, frames, workers = [], hardware }: BenchPageOptions): Promise<BenchPage> {
  const bundles = await Promise.all([script, ...frames].map(bundle));
  const workerBundles = new Map<string, string>(
    await Promise.all(workers.map(async (worker) => [`/worker/${basename(worker.pathname)}`, await bundle(worker)] as const)),
  );
  const documentOf = (index: number): string =>
    `<!doctype html><title>bench</title><script type="module" src="/${index}.js"></script>${
      index > 0 ? "" : frames.map((_, frame) => `<iframe src="/${frame + 1}"></iframe>`).join("")
    }`;
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const wasm = /^\/wasm\/([\w.-]+\.wasm)$/.exec(path)?.[1];
    const [, index, isScript] = /^\/(\d*)(\.js)?$/.exec(path) ?? [];
    const text = index === undefined ? undefined : bundles[Number(index)];
    const send = (type: string, body: string | Buffer): void => {
      response.writeHead(200, { ...HEADERS, "content-type": type }).end(body);
    };
    const worker = workerBundles.get(path);
    if (worker !== undefined) send("text/javascript", worker);
    else if (text !== undefined && isScript !== undefined) send("text/javascript", text);
    else if (text !== undefined) send("text/html", documentOf(Number(index)));
    else if (wasm !== undefined)
      readFile(join(WASM_FOLDER, wasm)).then(
        (bytes) => send("application/wasm", bytes),
        () => response.writeHead(404).end(),
      );
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const executablePath = process.env.WEFT_CHROMIUM;
  const browser = await chromium.launch({
    args: [...FLAGS, ...(hardware ? [] : SOFTWARE)],
    ...(executablePath === undefined ? {} : { executablePath }),
  });
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on("pageerror", ({ message }) => faults.push(message));
  await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
  await page.waitForLoadState("networkidle");
  if (faults.length > 0) throw new Error(`The page did not load: ${faults.join("; ")}`);
  return {
    page,
    browser,
    async close() {
      await browser.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
