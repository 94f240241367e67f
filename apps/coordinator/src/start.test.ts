// Starting and stopping: every mistake at start is one sentence with its code, a stop is quick and complete, TLS serves the same pages.
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { io } from "socket.io-client";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CoordinatorConfig } from "./config.ts";
import { digitsRun } from "./demonstration.ts";
import { startCoordinator } from "./start.ts";
import { StartError } from "./start-error.ts";
import { cookieOf, post, startTestCoordinator, temporaryFolder } from "./test/harness.ts";

vi.setConfig({ testTimeout: 60_000 });

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});
const folder = async (): Promise<string> => {
  const path = await temporaryFolder();
  cleanUp.push(() => rm(path, { recursive: true, force: true }));
  return path;
};
async function refusedStart(config: CoordinatorConfig): Promise<StartError> {
  const outcome = await startCoordinator({ port: 0, logLevel: "silent", demonstrations: false, ...config }).then(
    async (started) => {
      await started.stop();
      return null;
    },
    (error: unknown) => error,
  );
  if (!(outcome instanceof StartError)) throw new Error(`it started, or failed otherwise: ${String(outcome)}`);
  expect(outcome.message).toMatch(/^[A-Z][^\n]{10,400}\.$/);
  return outcome;
}
/** A certificate for localhost, made by the openssl that is a part of every Linux and macOS. */
async function selfSigned(path: string): Promise<{ readonly tlsCert: string; readonly tlsKey: string }> {
  const [tlsCert, tlsKey] = [join(path, "cert.pem"), join(path, "key.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-keyout",
      tlsKey,
      "-out",
      tlsCert,
      ...subject,
    ],
    { stdio: "ignore" },
  );
  return { tlsCert, tlsKey };
}

describe("a start that cannot succeed", () => {
  it("names a port in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    cleanUp.push(() => other.close());
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const error = await refusedStart({ port, dataFolder: await folder() });
    expect([error.code, error.message.includes(String(port))]).toEqual(["port-in-use", true]);
  });

  it("names a data folder that cannot be written", async () => {
    const file = join(await folder(), "a-file");
    await writeFile(file, "");
    const error = await refusedStart({ dataFolder: join(file, "data") });
    expect([error.code, error.message.includes(file)]).toEqual(["data-unwritable", true]);
  });

  it("names a data folder that another coordinator holds", async () => {
    const running = await startTestCoordinator();
    cleanUp.push(() => running.end());
    const error = await refusedStart({ dataFolder: running.folder });
    expect([error.code, /in use/.test(error.message)]).toEqual(["data-unwritable", true]);
  });

  it.each([
    ["garbage", "this is no database at all, whatever its name says".repeat(100)],
    ["a torn header", "SQLite format 3\u0000"],
  ])("names a damaged database: %s", async (_what, content) => {
    const dataFolder = await folder();
    await writeFile(join(dataFolder, "accounts.db"), content);
    const error = await refusedStart({ dataFolder });
    expect([error.code, error.message.includes("accounts.db")]).toEqual(["damaged-database", true]);
  });

  it("names a damaged ledger", async () => {
    const running = await startTestCoordinator();
    cleanUp.push(() => running.end());
    expect((await running.started.coordinator.createRun(digitsRun(), "test")).ok).toBe(true);
    await running.stop();
    const ledger = join(running.folder, "ledger", "digits");
    const [segment] = await readdir(ledger);
    const bytes = await readFile(join(ledger, segment ?? ""));
    bytes.write("Z", 60);
    await writeFile(join(ledger, segment ?? ""), bytes);
    const error = await refusedStart({ dataFolder: running.folder });
    expect([error.code, error.message.includes("digits")]).toEqual(["damaged-ledger", true]);
  });

  it("names a key file that holds no key", async () => {
    const dataFolder = await folder();
    await writeFile(join(dataFolder, "coordinator.key"), "short");
    expect((await refusedStart({ dataFolder })).code).toBe("bad-key");
  });

  it("names missing and wrong TLS files", async () => {
    const path = await folder();
    const missing = join(path, "missing.pem");
    expect((await refusedStart({ dataFolder: path, tlsCert: missing, tlsKey: missing })).code).toBe("tls-missing");
    expect((await refusedStart({ dataFolder: path, tlsCert: missing })).code).toBe("tls-missing");
    const wrong = join(path, "wrong.pem");
    await writeFile(wrong, "no certificate");
    expect((await refusedStart({ dataFolder: path, tlsCert: wrong, tlsKey: wrong })).code).toBe("tls-invalid");
  });

  it.each([{ port: -1 }, { port: 70_000 }, { port: 1.5 }, { origins: ["not an address"] }])(
    "names what is wrong with %j",
    async (config) => {
      expect((await refusedStart({ dataFolder: await folder(), ...config })).code).toBe("bad-config");
    },
  );
});

describe("a start and a stop", () => {
  it("keep secrets to their owner, and end quickly with everything closed", async () => {
    const running = await startTestCoordinator();
    cleanUp.push(() => running.end());
    for (const name of ["coordinator.key", "admin.key", "sessions.key"])
      expect([name, (await stat(join(running.folder, name))).mode & 0o777]).toEqual([name, 0o600]);
    const socket = io(`${running.origin}/observer`, { transports: ["websocket"], reconnection: false, forceNew: true });
    const gone = new Promise((resolve) => socket.once("disconnect", resolve));
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    const before = performance.now();
    await running.stop();
    await running.stop();
    expect(performance.now() - before).toBeLessThan(8_000);
    expect(await gone).toBeTruthy();
    await expect(running.raw({ path: "/api/health" })).rejects.toThrow();
    expect(await readdir(running.folder)).not.toContain("lock");
  });

  it("make the two demonstration runs once", async () => {
    const dataFolder = await folder();
    for (let turn = 0; turn < 2; turn++) {
      const running = await startTestCoordinator({ dataFolder, demonstrations: true });
      expect(running.started.coordinator.runs().map(({ run }) => run)).toEqual(["digits", "austen"]);
      const { value } = (await running.raw({ path: "/api/datasets" })).json as { value: { id: string }[] };
      expect(value.map(({ id }) => id)).toEqual(["austen", "digits"]);
      await running.stop();
    }
  });

  it("serve the built pages at their routes, files by name, and nothing else", async () => {
    const webRoot = await folder();
    await mkdir(join(webRoot, "assets"));
    await writeFile(join(webRoot, "index.html"), "<!doctype html><title>Weft</title>");
    await writeFile(join(webRoot, "assets", "index-abc.js"), "console.log(1)");
    await writeFile(join(webRoot, "assets", "index-abc.js.br"), "br");
    const running = await startTestCoordinator({ webRoot });
    cleanUp.push(() => running.end());
    const unknown = await running.raw({ path: "/runs/none" });
    expect([unknown.status, unknown.headers["content-type"]]).toEqual([404, "text/html; charset=utf-8"]);
    expect(unknown.text).toMatch(/<title>Weft/);
    const etag = String(unknown.headers.etag);
    expect((await running.raw({ path: "/runs/none", headers: { "if-none-match": etag } })).status).toBe(404);
    expect((await running.started.coordinator.createRun(digitsRun(), "test")).ok).toBe(true);
    for (const path of ["/", "/admin", "/runs", "/runs/digits"]) {
      const page = await running.raw({ path });
      expect([path, page.status, page.headers["content-type"], page.headers["cache-control"]]).toEqual([
        path,
        200,
        "text/html; charset=utf-8",
        "no-cache",
      ]);
    }
    const plain = await running.raw({ path: "/assets/index-abc.js" });
    expect([plain.text, plain.headers["cache-control"]]).toEqual(["console.log(1)", "public, max-age=31536000, immutable"]);
    const packed = await running.raw({ path: "/assets/index-abc.js", headers: { "accept-encoding": "gzip, br" } });
    expect([packed.text, packed.headers["content-encoding"]]).toEqual(["br", "br"]);
    const known = await running.raw({ path: "/", headers: { "if-none-match": String((await running.raw({ path: "/" })).headers.etag) } });
    expect(known.status).toBe(304);
    for (const path of ["/volunteer", "/runs/digits/more", "/assets/none.js", "/assets/", "/..%2fadmin.key"])
      expect([path, (await running.raw({ path })).status]).toEqual([path, 404]);
  });

  it("serve HTTPS with a certificate: secure cookies, HSTS, secure sockets", async () => {
    const running = await startTestCoordinator(await selfSigned(await folder()));
    cleanUp.push(() => running.end());
    expect(running.started.adminUrl).toMatch(/^https:\/\/localhost:\d+\/admin#token=/);
    const health = await running.raw({ path: "/api/health" });
    expect([health.status, health.headers["strict-transport-security"]]).toEqual([200, "max-age=31536000"]);
    const token = new URL(running.started.adminUrl).hash.replace("#token=", "");
    const answer = await running.raw({ path: "/api/admin/exchange", ...post(running.origin, { token }) });
    expect(String(answer.headers["set-cookie"])).toMatch(/^__Secure-weft\.session_token=.*; Secure; SameSite=Strict/);
    const { json } = await running.raw({ path: "/api/admin/session", headers: { cookie: cookieOf(answer) } });
    expect(json.value.signedIn).toBe(true);
    const socket = io(`${running.origin}/observer`, {
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      rejectUnauthorized: false,
    });
    await new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(null));
      socket.once("connect_error", reject);
    });
    socket.disconnect();
  });
});
