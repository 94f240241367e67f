// Every HTTP route from the raw wire: what is unknown, malformed, oversized, foreign or out of range gets a typed refusal, and the coordinator goes on.
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { ERROR_CODES, type ErrorCode, MAX_JSON_BODY_BYTES } from "@weft/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { digitsRun } from "./demonstration.ts";
import { post, type RawRequest, startTestCoordinator, type TestCoordinator } from "./test/harness.ts";

// A start takes seconds where the machine is busy.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 });

let coordinator: TestCoordinator;
let weights: { sha256: string; sizeBytes: number };
beforeAll(async () => {
  coordinator = await startTestCoordinator();
  const made = await coordinator.started.coordinator.createRun(digitsRun(), "test");
  expect(made.ok).toBe(true);
  weights = (await coordinator.raw({ path: "/api/runs/digits" })).json.value.weights;
}, 60_000);
afterAll(() => coordinator.end());

const UNKNOWN_HASH = "0".repeat(64);
const command = (body: string, headers: Record<string, string> = {}): RawRequest => ({
  method: "POST",
  path: "/api/admin/command",
  headers: { "content-type": "application/json", authorization: `Bearer ${coordinator.adminKey}`, ...headers },
  body,
});

/** Writes bytes and gives all that comes back until the connection ends. */
const talk = (bytes: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(coordinator.started.port, "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });

describe("unknown and malformed names", () => {
  const cases: readonly (readonly [string, ErrorCode])[] = [
    ["/nothing", "not-found"],
    ["/api", "not-found"],
    ["/api/", "not-found"],
    ["/api/health/", "not-found"],
    ["//", "not-found"],
    ["/api/runs/none", "unknown-run"],
    ["/api/runs/__proto__", "unknown-run"],
    ["/api/runs/%00", "unknown-run"],
    ["/api/runs/%ff", "unknown-run"],
    ["/api/runs/%E2%80%AEevil", "unknown-run"],
    [`/api/runs/${"a".repeat(5000)}`, "unknown-run"],
    ["/api/runs/none/ledger", "unknown-run"],
    ["/api/runs/none/spec", "unknown-run"],
    ["/api/runs/none/checkpoints", "unknown-run"],
    ["/api/runs/none/checkpoints/latest", "unknown-run"],
    ["/api/runs/digits/checkpoints/latest", "unknown-version"],
    ["/api/runs/digits/checkpoints/0", "unknown-version"],
    ["/api/runs/digits/checkpoints/-1", "unknown-version"],
    ["/api/runs/digits/checkpoints/1e3", "unknown-version"],
    [`/api/runs/digits/contributions/${UNKNOWN_HASH}`, "unknown-blob"],
    ["/api/runs/digits/contributions/..%2f..%2fadmin.key", "unknown-blob"],
    ["/api/runs/digits/ledger?from=-1", "bad-message"],
    ["/api/runs/digits/ledger?from=x", "bad-message"],
    ["/api/runs/digits/ledger?from=99999999999999999999", "bad-message"],
    ["/api/runs/digits/ledger?limit=0", "bad-message"],
    ["/api/runs/digits/ledger?limit=1001", "bad-message"],
    ["/api/datasets/none", "unknown-dataset"],
    ["/api/datasets/..%2f..%2fetc%2fpasswd", "unknown-dataset"],
    [`/blobs/${UNKNOWN_HASH}`, "unknown-blob"],
    [`/blobs/${"A".repeat(64)}`, "unknown-blob"],
    ["/blobs/short", "unknown-blob"],
    ["/blobs/..%2f..%2fadmin.key", "unknown-blob"],
    ["/blobs/%2e%2e%2fadmin.key", "unknown-blob"],
    ["/blobs/../admin.key", "not-found"],
    ["/../../etc/passwd", "not-found"],
    ["/%2e%2e/%2e%2e/etc/passwd", "not-found"],
    ["/assets/..%2f..%2fpackage.json", "not-found"],
  ];
  it.each(cases)("GET %s is refused as %s", async (path, code) => {
    const answer = await coordinator.raw({ path });
    expect(answer.json).toMatchObject({ ok: false, code, message: expect.stringMatching(/\S/) });
    expect(answer.status).toBe(ERROR_CODES[code].status);
  });
});

describe("methods", () => {
  const reading = [
    "/api/health",
    "/api/info",
    "/api/runs",
    "/api/runs/digits",
    "/api/runs/digits/ledger",
    "/metrics",
    `/blobs/${UNKNOWN_HASH}`,
  ];
  const writing = [
    ...["exchange", "password", "sign-in", "sign-out", "command"].map((name) => `/api/admin/${name}`),
    "/api/volunteer/goodbye",
  ];
  it.each(reading.flatMap((path) => ["POST", "PUT", "DELETE", "PATCH"].map((method) => [method, path] as const)))(
    "%s %s is not allowed",
    async (method, path) => {
      const answer = await coordinator.raw({ method, path, headers: { origin: coordinator.origin } });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe("GET, HEAD");
      expect(answer.json.code).toBe("method-not-allowed");
    },
  );
  it.each(writing)("GET %s is not allowed", async (path) => {
    const answer = await coordinator.raw({ path });
    expect([answer.status, answer.headers.allow, answer.json.code]).toEqual([405, "POST", "method-not-allowed"]);
  });
});

describe("origins and hosts", () => {
  it.each(["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1.evil.example"])(
    "a POST from %s is refused",
    async (origin) => {
      const answer = await coordinator.raw({ path: "/api/admin/sign-out", ...post(origin, {}) });
      expect([answer.status, answer.json.code]).toEqual([403, "bad-origin"]);
    },
  );
  it("a POST that names no origin and holds no key is refused", async () => {
    const answer = await coordinator.raw({
      method: "POST",
      path: "/api/admin/sign-out",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(answer.json.code).toBe("bad-origin");
  });
  it("a key does not excuse a foreign origin", async () => {
    expect((await coordinator.raw(command("{}", { origin: "https://evil.example" }))).json.code).toBe("bad-origin");
  });
  it.each(["evil.example", "evil.example:80", "localhost:80@evil.example", "localhost/../"])(
    "a foreign Host (%j) is refused",
    async (host) => {
      const answer = await coordinator.raw({ path: "/api/info", headers: { host } });
      expect([400, 403]).toContain(answer.status);
      expect(answer.json.ok).toBe(false);
    },
  );
});

describe("bodies", () => {
  const table: readonly (readonly [string, string, ErrorCode])[] = [
    ["not JSON", "{", "bad-message"],
    ["empty", "", "bad-message"],
    ["null", "null", "bad-message"],
    ["an array", "[]", "bad-message"],
    ["a number", "7", "bad-message"],
    ["an unknown command", '{"type":"format-disk"}', "bad-message"],
    ["a further field", '{"type":"pause-run","run":"digits","x":1}', "bad-message"],
    ["an unknown run", '{"type":"pause-run","run":"none"}', "unknown-run"],
    ["a specification that is none", '{"type":"create-run","spec":{}}', "bad-spec"],
    ["deep nesting", `{"type":"create-run","spec":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, "bad-spec"],
    ["a body beyond the limit", `"${"x".repeat(MAX_JSON_BODY_BYTES)}"`, "too-large"],
  ];
  it.each(table)("a command that is %s is refused", async (_what, body, code) => {
    const answer = await coordinator.raw(command(body));
    expect(answer.json?.code).toBe(code);
    expect(answer.status).toBe(ERROR_CODES[code].status);
  });
  it("a body of another type is refused", async () => {
    expect((await coordinator.raw(command("{}", { "content-type": "text/plain" }))).json.code).toBe("bad-message");
  });
  it("a chunked body beyond the limit is refused while it arrives", async () => {
    const answer = await coordinator.raw(command("x".repeat(4 * MAX_JSON_BODY_BYTES), { "transfer-encoding": "chunked" }));
    expect([answer.status, answer.json.code]).toEqual([413, "too-large"]);
  });
  it.each([
    [{}, 400, "bad-message"],
    [{ farewell: "short" }, 400, "bad-message"],
    [{ farewell: ["0".repeat(32)] }, 400, "bad-message"],
    [{ farewell: "0".repeat(32), volunteer: "0".repeat(64) }, 400, "bad-message"],
    [{ farewell: "0".repeat(32) }, 404, "not-found"],
  ])("the goodbye %j ends nothing", async (body, status, code) => {
    const answer = await coordinator.raw({ path: "/api/volunteer/goodbye", ...post(coordinator.origin, body) });
    expect([answer.status, answer.json.code]).toEqual([status, code]);
    const foreign = await coordinator.raw({ path: "/api/volunteer/goodbye", ...post("https://evil.example", body) });
    expect([foreign.status, foreign.json.code]).toEqual([403, "bad-origin"]);
  });
  it.each(["/api/admin/command", "/api/admin/exchange", "/api/admin/sign-in"])("a POST of %s without any body is refused", async (path) => {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost:${coordinator.started.port}\r\nconnection: close\r\n`;
    const key = `authorization: Bearer ${coordinator.adminKey}\r\ncontent-type: application/json\r\n`;
    const answer = await talk(`${head}${key}\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toMatch(/"code":"bad-message"/);
  });
  it("a chunked body is read as any other", async () => {
    const answer = await coordinator.raw(command('{"type":"pause-run","run":"none"}', { "transfer-encoding": "chunked" }));
    expect([answer.status, answer.json.code]).toEqual([404, "unknown-run"]);
  });
  it("a body whose sender goes away does no harm", async () => {
    const head = `POST /api/admin/command HTTP/1.1\r\nhost: localhost:${coordinator.started.port}\r\ncontent-length: 100\r\n`;
    await new Promise<void>((resolve) => {
      const socket = connect(coordinator.started.port, "127.0.0.1", () =>
        socket.write(`${head}authorization: Bearer ${coordinator.adminKey}\r\ncontent-type: application/json\r\n\r\n{`, () => {
          setTimeout(() => socket.destroy(), 100);
        }),
      );
      socket.on("close", () => resolve());
    });
    expect((await coordinator.raw({ path: "/api/health" })).status).toBe(200);
  });
  it.each(["Bearer", "Bearer ", `Bearer ${"0".repeat(64)}`, "Basic YTpi", `Bearer ${"a".repeat(100_00)}`])(
    "the key %j is refused",
    async (authorization) => {
      const answer = await coordinator.raw(command('{"type":"pause-run","run":"digits"}', { authorization }));
      expect([answer.status, answer.json.code]).toEqual([401, "unauthorized"]);
    },
  );
});

describe("blobs", () => {
  const blob = (headers: Record<string, string> = {}, method = "GET") =>
    coordinator.raw({ method, path: `/blobs/${weights.sha256}`, headers });
  it("is the bytes of its name, kept for ever", async () => {
    const answer = await blob();
    expect(answer.status).toBe(200);
    expect(createHash("sha256").update(answer.bytes).digest("hex")).toBe(weights.sha256);
    expect(answer.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "cache-control": "public, max-age=31536000, immutable",
      etag: `"${weights.sha256}"`,
      "content-length": String(weights.sizeBytes),
      "x-content-type-options": "nosniff",
    });
  });
  it("HEAD has the headers alone", async () => {
    const answer = await blob({}, "HEAD");
    expect([answer.status, answer.bytes.length, answer.headers["content-length"]]).toEqual([200, 0, String(weights.sizeBytes)]);
  });
  it("is not sent again to who has it", async () => {
    expect((await blob({ "if-none-match": `"${weights.sha256}"` })).status).toBe(304);
  });
  it("gives ranges", async () => {
    const whole = (await blob()).bytes;
    const size = weights.sizeBytes;
    for (const [range, start, end] of [
      ["bytes=0-0", 0, 1],
      ["bytes=10-19", 10, 20],
      ["bytes=10-", 10, size],
      ["bytes=-5", size - 5, size],
      [`bytes=-${size + 100}`, 0, size],
      [`bytes=1-${size + 100}`, 1, size],
    ] as const) {
      const answer = await blob({ range });
      expect([range, answer.status, answer.headers["content-range"]]).toEqual([range, 206, `bytes ${start}-${end - 1}/${size}`]);
      expect(answer.bytes.equals(whole.subarray(start, end))).toBe(true);
    }
  });
  it.each(["bytes=99999999-", "bytes=-0"])("%s cannot be satisfied", async (range) => {
    const answer = await blob({ range });
    expect([answer.status, answer.headers["content-range"], answer.json.ok]).toEqual([416, `bytes */${weights.sizeBytes}`, false]);
  });
  it.each(["bytes=5-2", "bytes=a-b", "bytes=", "bytes=-", "lines=1-2", "bytes=0-1,3-4", `bytes=0-${"9".repeat(400)}`])(
    "%s is no single range: the whole is sent",
    async (range) => {
      const answer = await blob({ range });
      expect([answer.status, answer.bytes.length]).toEqual([200, weights.sizeBytes]);
    },
  );
  it("a range of another version of the file is answered with the whole", async () => {
    expect((await blob({ range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
  });
});

describe("answers", () => {
  it("carry the security headers, refusals too", async () => {
    for (const path of ["/api/health", "/nothing"]) {
      const { headers } = await coordinator.raw({ path });
      expect(headers).toMatchObject({
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
      });
      expect(headers["content-security-policy"]).toMatch(/script-src 'self' 'wasm-unsafe-eval';/);
      expect(headers["strict-transport-security"]).toBeUndefined();
    }
  });
  it("give the ledger as lines, a page at a time", async () => {
    const all = (await coordinator.raw({ path: "/api/runs/digits/ledger" })).text.trim().split("\n");
    expect(all.length).toBeGreaterThan(1);
    const second = await coordinator.raw({ path: "/api/runs/digits/ledger?from=1&limit=1" });
    expect(second.headers["content-type"]).toBe("application/x-ndjson");
    expect(second.text.trim().split("\n")).toEqual([all[1]]);
    expect((await coordinator.raw({ path: "/api/runs/digits/ledger?from=100000" })).text).toBe("");
  });
  it("are counted, refusals by code", async () => {
    const { text } = await coordinator.raw({ path: "/metrics" });
    expect(text).toMatch(/weft_http_refusals_total\{code="unknown-blob"\} [1-9]/);
    expect(text).toMatch(/weft_event_loop_delay_seconds\{stat="max"\} /);
    expect(text).toMatch(/weft_run_version\{run="digits",phase="running"\} 0/);
    expect(text).not.toMatch(/weft_errors_total\{/);
  });
});

describe("what is not HTTP", () => {
  it.each([
    ["noise", "\u0000\u0001\u0002 hello\r\n\r\n", "400"],
    ["a header beyond the limit", `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"x".repeat(40_000)}\r\n\r\n`, "431"],
  ])("%s gets a refusal and the end of the connection", async (_what, bytes, status) => {
    const answer = await talk(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toMatch(/"code":"bad-message"/);
  });
  it("and the coordinator goes on", async () => {
    expect((await coordinator.raw({ path: "/api/health" })).json).toEqual({ ok: true, value: { healthy: true } });
  });
});
