// `weft datasets fetch`: from folders and from a real server on loopback that redirects, refuses, breaks off. Only hashes are believed.
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { importText, RECIPES } from "@weft/datasets";
import type { DatasetManifest } from "@weft/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { contentOf, output, refusal, temporaryFolder, weft } from "../test/weft.ts";

const TEXT = Buffer.from("Whether I shall turn out to be the hero of my own life.\n".repeat(40));
const ADDRESS = "https://texts.example/copperfield.txt.gz";
const known = RECIPES as Record<string, (typeof RECIPES)[string]>;

/** The recipes that Weft knows name files too large to be kept here; this one is of the same form. */
beforeAll(() => {
  known.copperfield = {
    about: {
      id: "copperfield",
      name: "David Copperfield",
      description: "A sentence, many times.",
      source: ADDRESS,
      license: "LicenseRef-PublicDomain",
      attribution: "Charles Dickens (1812-1870). The text is in the public domain.",
      citation: "",
    },
    files: [{ name: "copperfield.txt", sizeBytes: TEXT.length, sha256: createHash("sha256").update(TEXT).digest("hex"), address: ADDRESS }],
    make: (about, files) => importText({ about, files }),
  };
});
afterAll(() => {
  delete known.copperfield;
});

let folder: string;
let data: string;
const cleanUp: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await temporaryFolder();
  data = join(folder, "data");
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** A `fetch` that finds the published addresses at a server of ours. */
async function served(listener: RequestListener): Promise<typeof fetch> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return (asked, init) => {
    expect(asked).toBe(ADDRESS);
    return fetch(`http://127.0.0.1:${port}${new URL(String(asked)).pathname}`, init);
  };
}
const fetching = ["datasets", "fetch", "copperfield", "--data"];
const ids = async (): Promise<readonly string[]> =>
  (JSON.parse(await output(["datasets", "list", "--data", data, "--json"])) as DatasetManifest[]).map(({ id }) => id);

const SAID =
  '1 of 1: copperfield.txt\ncopperfield: added; text, 21 symbols; 2016 characters to train on, 224 held out; LicenseRef-PublicDomain.\nA run uses it with "dataset": "copperfield" in its specification.\n';

describe("weft datasets fetch", () => {
  it("follows redirects, unpacks, checks and stores", async () => {
    const download = await served((request, response) => {
      if (request.url === "/copperfield.txt.gz") response.writeHead(302, { location: "/mirror/2" }).end();
      else response.end(gzipSync(TEXT));
    });
    expect(await output([...fetching, data], download)).toBe(SAID);
    expect(await ids()).toEqual(["austen", "copperfield", "digits"]);
    expect(await output([...fetching, data], download)).toContain("copperfield: there already; ");
  });

  it.each([
    ["copperfield.txt", TEXT],
    ["copperfield.txt.gz", gzipSync(TEXT)],
  ])("takes %s from a folder, without the network", async (name, bytes) => {
    await writeFile(join(folder, name), bytes);
    const download = () => Promise.reject(new Error("the network was asked"));
    expect(await output([...fetching, data, "--from", folder], download)).toBe(SAID);
    expect(await ids()).toContain("copperfield");
  });
});

describe("a fetch that is refused", () => {
  const nothing = async (message: string, expected: RegExp): Promise<void> => {
    expect(message).toMatch(expected);
    expect(await contentOf(data)).toBeNull();
  };

  it.each<readonly [string, RequestListener, RegExp]>([
    [
      "404",
      (_, response) => response.writeHead(404).end("gone"),
      /^https:\/\/texts\.example\/copperfield\.txt\.gz could not be downloaded \(the server answered 404\)\. Nothing was imported; a copy of the files can be used with --from DIR\.$/,
    ],
    ["503", (_, response) => response.writeHead(503).end(), /\(the server answered 503\)/],
    [
      "redirects without end",
      (_, response) => response.writeHead(302, { location: "/copperfield.txt.gz" }).end(),
      /could not be downloaded \(redirect count exceeded\)/,
    ],
    ["a connection that breaks", (_, response) => response.destroy(), /could not be downloaded \(other side closed\)/],
    [
      "a body that breaks off",
      (_, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write(TEXT.subarray(0, 300), () => response.destroy());
      },
      /could not be downloaded \(it broke off after \d+ bytes: /,
    ],
    [
      "a body that is short",
      (_, response) => response.end(TEXT.subarray(0, 300)),
      /^copperfield\.txt: 300 bytes where 2240 are due; the file is truncated\. Nothing was imported\.$/,
    ],
    [
      "a packed body that is short",
      (_, response) => response.end(gzipSync(TEXT).subarray(0, 50)),
      /^copperfield\.txt: the gzip data is truncated or corrupt \(50 bytes\)\.$/,
    ],
    ["a body without end", (_, response) => response.end(Buffer.alloc(10_000)), /\(it is longer than the 3264 bytes that are due\)/],
    [
      "a packed body that unpacks without end",
      (_, response) => response.end(gzipSync(Buffer.alloc(100_000))),
      /^copperfield\.txt: unpacks to more than 2240 bytes\.$/,
    ],
    [
      "a page for a file",
      (_, response) => response.end(Buffer.alloc(TEXT.length, "<")),
      /^copperfield\.txt: its SHA-256 is [0-9a-f]{64}, not the published [0-9a-f]{64}\. The file is not the published one; nothing was imported\.$/,
    ],
  ])("%s: one sentence, nothing stored", async (_what, listener, expected) => {
    await nothing(await refusal([...fetching, data], await served(listener)), expected);
  });

  it("no network", async () => {
    const download = () => Promise.reject(new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND texts.example") }));
    await nothing(await refusal([...fetching, data], download), /could not be downloaded \(getaddrinfo ENOTFOUND texts\.example\)/);
  });
  it("a download that stalls", async () => {
    const download = () => Promise.reject(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
    await nothing(await refusal([...fetching, data], download), /could not be downloaded \(it took more than 10 minutes\)/);
  });

  it("a folder without the file, and one with another file of that name and length", async () => {
    const args = ["datasets", "fetch", "tinyshakespeare", "--data", data, "--from", folder];
    await nothing(await refusal(args), /^The folder .* has neither input\.txt nor input\.txt\.gz\.$/);
    await nothing(await refusal([...args.slice(0, -1), join(folder, "missing")]), /missing has neither input\.txt/);
    await writeFile(join(folder, "input.txt"), Buffer.alloc(1_115_394, "a"));
    await nothing(await refusal(args), /^input\.txt: its SHA-256 is [0-9a-f]{64}, not the published 86c4e6aa/);
    await writeFile(join(folder, "input.txt"), Buffer.alloc(1_000_000, "a"));
    await nothing(await refusal(args), /^input\.txt: 1000000 bytes where 1115394 are due; the file is truncated\./);
    await writeFile(join(folder, "input.txt"), Buffer.alloc(2_000_000, "a"));
    await nothing(await refusal(args), /input\.txt has 2000000 bytes; at most 1116418 can be read\.$/);
  });

  it("an unknown name: named with those that there are", async () => {
    const message = await refusal(["datasets", "fetch", "constructor\u001b[31m", "--data", data]);
    await nothing(
      message,
      /^There is no recipe for "constructor\?\[31m"; there are mnist, fashion-mnist, tinyshakespeare, tinyshakespeare-by-role, copperfield\.$/,
    );
  });

  it("a download that is refused leaves a folder that has other sets as it was", async () => {
    await writeFile(join(folder, "a.txt"), TEXT);
    await output([
      "datasets",
      "import",
      "text",
      join(folder, "a.txt"),
      "--data",
      data,
      "--id",
      "mine",
      "--license",
      "MIT",
      "--attribution",
      "Me",
    ]);
    const before = await contentOf(data);
    const { code } = await weft([...fetching, data], await served((_, response) => response.end("short")));
    expect(code).toBe(1);
    expect(await contentOf(data)).toEqual(before);
  });
});
