// What answers at --url may be nobody, somebody else, or hostile: one sentence, nothing painted on the terminal, no half of a file.
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import type { CheckpointView, RunSummary } from "@weft/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { output, refusal, temporaryFolder, weft } from "../test/weft.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});
async function served(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}
const json = (value: unknown, status = 200): RequestListener => {
  return (_, response) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
};

/** Paints the screen, turns the text around, breaks the line, begins a link. */
const HOSTILE = "\u001b[2J\u202e\u0007a\nb\r\u009b31m\u2028\u001b]8;;http://x\u0007";
const SHOWN = "?[2J??a?b??31m??]8;;http://x?";

describe("what answers at --url", () => {
  it("nobody: says how to start a coordinator", async () => {
    const url = await served(() => undefined);
    for (const step of cleanUp.splice(0)) await step();
    const message = `No coordinator answers at ${url}. Start one with \`npm start\`, or name another with --url.`;
    for (const args of [
      ["runs", "list"],
      ["runs", "show", "x"],
      ["checkpoints", "list", "x"],
      ["checkpoints", "pull", "x"],
    ])
      expect(await refusal([...args, "--url", url])).toBe(message);
  });

  it.each(["nonsense", "ftp://localhost", "localhost:8787", ""])("%j is no address", async (url) => {
    const { code, err } = await weft(["runs", "list", "--url", url]);
    expect([code, err.split("\n")[0]]).toEqual([
      1,
      `error: option '--url <url>' argument '${url}' is invalid. It must be an address such as http://localhost:8787.`,
    ]);
  });
  it("a path after the address is left out", async () => {
    const url = await served((request, response) => json({ ok: true, value: [] })({ url: request.url } as never, response as never));
    expect(await output(["runs", "list", "--url", `${url}/runs/digits?x=1#token=2`])).toMatch(/^run +state/);
  });

  it.each<readonly [string, RequestListener]>([
    ["a page", (_, response) => response.end("<!doctype html>")],
    ["an error page", (_, response) => response.writeHead(502).end("<h1>Bad gateway</h1>")],
    ["JSON of somebody else", json({ status: "up" })],
    ["a list", json([1, 2])],
    ["null", json(null)],
    ["a refusal without a message", json({ ok: false, code: "internal" }, 500)],
  ])("%s: it is no coordinator", async (_what, listener) => {
    const url = await served(listener);
    expect(await refusal(["runs", "list", "--url", url])).toMatch(
      new RegExp(`^What answers at ${url} \\(\\d{3}\\) is no Weft coordinator\\. Name one with --url\\.$`),
    );
  });

  it("a refusal that paints: shown on one line, harmless", async () => {
    const url = await served(json({ ok: false, code: "internal", message: `no ${HOSTILE}.` }, 500));
    expect(await refusal(["runs", "list", "--url", url])).toBe("no ?[2J??a b??31m??]8;;http://x?.");
  });

  const summary = (hostile: string): RunSummary => ({
    run: `r${hostile}`,
    name: hostile,
    description: hostile,
    phase: "running",
    model: hostile,
    parameters: 1,
    dataset: { id: "d", name: hostile, license: hostile, description: "", samples: 1 },
    license: hostile,
    version: 1,
    steps: 1,
    versions: 2,
    createdAtMs: 0,
    lossMean: null,
    heldOutLoss: null,
    accuracy: 0.5,
    spark: [],
    volunteersNow: 0,
    volunteersEver: 0,
    newestCheckpoint: null,
    trouble: null,
  });
  const detail = { ...summary(HOSTILE), manifest: { attribution: HOSTILE }, round: { reason: HOSTILE }, rejectedByCode: { [HOSTILE]: 3 } };

  it("names that paint: harmless in lists, in what is shown, and in JSON", async () => {
    const list = await output(["runs", "list", "--url", await served(json({ ok: true, value: [summary(HOSTILE)] }))]);
    expect(list.split("\n")).toHaveLength(3);
    expect(list).toContain(`r${SHOWN}`);
    const shown = await output(["runs", "show", "x", "--url", await served(json({ ok: true, value: detail }))]);
    expect(shown.split("\n")).toHaveLength(10);
    expect(shown).toContain(`${SHOWN}: ${SHOWN}\n`);
    expect(shown).toContain(`refused     3 ${SHOWN}\n`);
    const text = await output(["runs", "show", "x", "--json", "--url", await served(json({ ok: true, value: detail }))]);
    for (const printed of [list, shown, text]) expect(printed.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(text)).toEqual(detail);
  });

  it.each<readonly [string, (bytes: Buffer) => RequestListener, RegExp]>([
    [
      "another file",
      (bytes) => (_, response) => response.end(Buffer.from(bytes).fill(0, 3, 4)),
      /^The download has the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}, which the ledger names\.$/,
    ],
    [
      "a short one",
      (bytes) => (_, response) => response.end(bytes.subarray(0, 10)),
      /^The download has 10 bytes, not the 200000 bytes that are due\.$/,
    ],
    [
      "a long one",
      (bytes) => (_, response) => response.end(Buffer.concat([bytes, bytes])),
      /^The download has more than the 200000 bytes that are due\.$/,
    ],
    [
      "one that breaks off",
      (bytes) => (_, response) => {
        response.writeHead(200, { "content-length": "200000" });
        response.write(bytes.subarray(0, 1000), () => response.destroy());
      },
      /^The download broke off after \d+ of 200000 bytes \(.*\)\.$/,
    ],
    ["a refusal", () => json({ ok: false, code: "damaged", message: "The blob is damaged." }, 500), /^The blob is damaged\.$/],
  ])("a checkpoint that arrives as %s is not kept", async (_what, answer, message) => {
    const bytes = Buffer.alloc(200_000, "weights");
    const blob = { sha256: createHash("sha256").update(bytes).digest("hex"), sizeBytes: bytes.length };
    const checkpoint: CheckpointView = {
      version: 3,
      atMs: 0,
      archive: blob,
      weights: blob,
      samplesSeen: 1,
      heldOutLoss: null,
      accuracy: null,
    };
    const url = await served((request, response) =>
      (request.url?.endsWith("/checkpoints") === true ? json({ ok: true, value: [checkpoint] }) : answer(bytes))(request, response),
    );
    const folder = await temporaryFolder();
    for (const force of [[], ["--force"]])
      expect(await refusal(["checkpoints", "pull", "x", "--url", url, "--out", join(folder, "x.zip"), ...force])).toMatch(message);
    expect(await readdir(folder)).toEqual([]);
  });
});
