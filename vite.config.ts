// One configuration for the web application's build and for all tests (unit in Node, browser in Chromium with WebGPU).
import react from "@vitejs/plugin-react";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

const chromium = process.env.WEFT_CHROMIUM;

/** WebGPU on a machine without a GPU: Chromium's software adapter. It proves correctness, not speed. */
const BROWSER_FLAGS = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** As the coordinator's answers say: without them a page has no shared memory, and the engine no threads. */
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** How long the bundler took in its plugins is no news to whoever types `npm start`. */
const QUIET = { bundlerTimings: false };

export default defineConfig({
  root: "apps/web",
  plugins: [react()],
  worker: { format: "es", rolldownOptions: { checks: QUIET } },
  build: { outDir: "dist", emptyOutDir: true, target: "es2022", rolldownOptions: { checks: QUIET } },
  server: {
    port: 5173,
    headers: ISOLATED,
    proxy: {
      "/api": "http://localhost:8787",
      "/blobs": "http://localhost:8787",
      "/socket.io": { target: "http://localhost:8787", ws: true },
    },
  },
  test: {
    root: ".",
    projects: [
      {
        test: {
          name: "unit",
          root: import.meta.dirname,
          include: ["{packages,apps}/**/*.test.{ts,tsx}"],
          exclude: ["**/node_modules/**", "**/dist/**", "**/*.browser.test.ts"],
        },
      },
      {
        // The tests of WebGPU in Node, by hand: for a GPU that no browser here reaches. See packages/webgpu/test/dawn-setup.ts.
        test: {
          name: "dawn",
          root: import.meta.dirname,
          include: ["packages/{webgpu,engine}/src/**/*.browser.test.ts"],
          exclude: ["packages/engine/src/{browser-memory,digits,threads}.browser.test.ts"],
          setupFiles: ["packages/webgpu/test/dawn-setup.ts"],
          fileParallelism: false,
        },
      },
      {
        server: { headers: ISOLATED },
        test: {
          name: "browser",
          root: import.meta.dirname,
          include: ["{packages,apps}/**/*.browser.test.ts"],
          fileParallelism: false,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: { args: BROWSER_FLAGS, ...(chromium === undefined ? {} : { executablePath: chromium }) },
            }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
