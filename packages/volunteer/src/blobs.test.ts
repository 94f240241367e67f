import { describe, expect, it } from "vitest";
import { httpBlobs } from "./blobs.ts";

const BYTES = Uint8Array.from({ length: 1_000 }, (_, at) => at % 251);
const NAME = "ab".repeat(32);

/** Answers with `pieces` bytes each time and then breaks off, unless all is said; `answer` may change what is said. */
function server(
  pieces: readonly number[],
  answer: (from: number, range: string | null) => Partial<ResponseInit> & { readonly from?: number } = () => ({}),
) {
  const asked: (string | null)[] = [];
  const fetcher = (async (_url: unknown, init?: RequestInit) => {
    const range = new Headers(init?.headers).get("range");
    asked.push(range);
    const wanted = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const piece = pieces[asked.length - 1] ?? BYTES.length;
    if (piece < 0) throw new TypeError("network error");
    const { from = wanted, ...init2 } = answer(wanted, range);
    const part = BYTES.subarray(from, from + piece);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (part.length > 0) controller.enqueue(part);
      },
      pull(controller) {
        if (from + part.length >= BYTES.length) controller.close();
        else controller.error(new TypeError("terminated"));
      },
    });
    const headers = range === null ? {} : { "content-range": `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` };
    return new Response(body, { status: range === null ? 200 : 206, headers, ...init2 });
  }) as typeof fetch;
  return { asked, blobs: httpBlobs("https://weft.test", fetcher) };
}

describe("a download that breaks off", () => {
  it("goes on by Range where it was", async () => {
    const { asked, blobs } = server([300, 200]);
    expect(await blobs.get(NAME, BYTES.length)).toEqual(BYTES);
    expect(asked).toEqual([null, "bytes=300-", "bytes=500-"]);
  });

  it("is given up where nothing comes any more; the next try goes on there", async () => {
    const { asked, blobs } = server([400, -1]);
    await expect(blobs.get(NAME, BYTES.length)).rejects.toMatchObject({ code: "unavailable" });
    expect(await blobs.get(NAME, BYTES.length)).toEqual(BYTES);
    expect(asked).toEqual([null, "bytes=400-", "bytes=400-"]);
  });

  it("is given up after a while, however little comes each time", async () => {
    const { asked, blobs } = server(new Array(50).fill(10));
    await expect(blobs.get(NAME, BYTES.length)).rejects.toMatchObject({ code: "unavailable" });
    expect(asked).toHaveLength(9);
  });

  it("begins again where the coordinator knows no ranges, and is refused where it sends another part", async () => {
    const whole = server([300], (_from, range) => (range === null ? {} : { status: 200, headers: {}, from: 0 }));
    expect(await whole.blobs.get(NAME, BYTES.length)).toEqual(BYTES);
    const other = server([300], (from, range) => (range === null ? {} : { from: from + 1 }));
    await expect(other.blobs.get(NAME, BYTES.length)).rejects.toMatchObject({ code: "wrong-hash" });
    const longer = server([300], (_from, range) => (range === null ? {} : { from: 0, headers: { "content-range": "bytes 300-999/1000" } }));
    await expect(longer.blobs.get(NAME, BYTES.length)).rejects.toMatchObject({ code: "too-large" });
  });
});
