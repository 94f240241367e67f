import { expect, test } from "vitest";
import { httpSource } from "./index.ts";

const NAME = "a".repeat(64);
const refusal = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  Response.json({ ok: false, code, message: `it is ${code}` }, { status, headers });

/** A source whose answers come in this order, and how long it slept. */
function scripted(answers: readonly (Response | Error)[]) {
  const rest = [...answers];
  const slept: number[] = [];
  const asked: string[] = [];
  const source = httpSource("digits", {
    get: (path) => {
      asked.push(path);
      const next = rest.shift() ?? new Error("asked too often");
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
    sleep: async (ms) => {
      slept.push(ms);
    },
  });
  return { source, slept, asked };
}

test("who is told to wait waits so long, and a connection that breaks is made again", async () => {
  const { source, slept, asked } = scripted([
    refusal(429, "rate-limited", { "retry-after": "7" }),
    refusal(503, "unavailable"),
    new Error("other side closed"),
    new Response(Uint8Array.of(1, 2)),
  ]);
  expect(await source.blob(NAME)).toEqual(Uint8Array.of(1, 2));
  expect(slept).toEqual([7_000, 1_000, 1_000]);
  expect(new Set(asked)).toEqual(new Set([`/blobs/${NAME}`]));
});

test("what is not there is null; other refusals, and a coordinator that has gone, are errors in its words", async () => {
  expect(await scripted([refusal(404, "unknown-blob")]).source.contribution(NAME)).toBeNull();
  await expect(scripted([refusal(404, "unknown-run")]).source.contribution(NAME)).rejects.toThrow("it is unknown-run");
  const gone = Array.from({ length: 3 }, () => new Error("connect ECONNREFUSED"));
  await expect(scripted(gone).source.blob(NAME)).rejects.toThrow("ECONNREFUSED");
});

test("the ledger is read page by page from a record on; what is no JSON is handed on as no record", async () => {
  const { source, asked } = scripted([new Response('{"seq":5}\nnonsense\n'), new Response("")]);
  const records: unknown[] = [];
  for await (const record of source.records(5)) records.push(record);
  expect(records).toEqual([{ seq: 5 }, undefined]);
  expect(asked).toEqual(["/api/runs/digits/ledger?from=5&limit=1000", "/api/runs/digits/ledger?from=7&limit=1000"]);
  expect(() => httpSource("../admin", { get: () => Promise.reject(new Error()), sleep: () => Promise.resolve() })).toThrow(RangeError);
});
