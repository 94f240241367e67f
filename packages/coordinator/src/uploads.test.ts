// Uploads against a sink that admits everything: how many may send, what is reserved, who makes room, what is remembered.
import { CHUNK_BYTES, type ContributionHeader, MAX_OPEN_ASSIGNMENTS, ok, refuse } from "@weft/protocol";
import { expect, test } from "vitest";
import { Counters } from "./counters.ts";
import { KEPT_VERDICTS, UPLOAD_IDLE_MS, UPLOAD_STALLED_MS } from "./limits.ts";
import { MemorySpool } from "./memory-spool.ts";
import { type UploadSink, Uploads } from "./uploads.ts";

const MB = 4 * CHUNK_BYTES;
const SIGNATURE = "a".repeat(128);

function scene(
  limits: { spoolBytes?: number; receivingUploads?: number; receivingPerAddress?: number } = {},
  spool = new MemorySpool(),
  takeIn: UploadSink["takeIn"] = () => Promise.resolve(ok({ ok: true, norm: 1 })),
) {
  let nowMs = 1_000;
  const sink: UploadSink = {
    takeIn,
    follow: () => undefined,
    admit: () => Promise.resolve(ok({ kind: "admitted", version: 1 })),
    spoiled: (_header, code, detail) => Promise.resolve(refuse(code, detail)),
  };
  const all = { spoolBytes: 1_000 * MB, receivingUploads: 1_000, receivingPerAddress: 1_000, ...limits };
  const uploads = new Uploads(spool, sink, new Counters(), all, () => nowMs);
  const header = (who: number, parts: Partial<ContributionHeader> = {}): ContributionHeader => ({
    run: "a-run",
    lease: `0.${who}`,
    attempt: 1,
    volunteer: who.toString(16).padStart(64, "0"),
    base: "0".repeat(64),
    codec: "f32",
    samples: 1,
    lossMean: "00000000",
    computeMs: 1,
    sizeBytes: MB,
    sha256: who.toString(16).padStart(64, "0"),
    ...parts,
  });
  return {
    uploads,
    spool,
    header,
    open: (who: number, parts: Partial<ContributionHeader> = {}, address = `address ${who}`) =>
      uploads.open(header(who, parts), SIGNATURE, address),
    send: (who: number, index: number) => {
      const { run, lease, attempt, volunteer } = header(who);
      return uploads.chunk(volunteer, { run, lease, attempt, index }, new Uint8Array(CHUNK_BYTES));
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("only so many uploads send at once; the others are told when to come, in the order in which they asked", async () => {
  const { open, send, pass } = scene({ receivingUploads: 2 });
  expect([open(1), open(2)].every((reply) => reply.ok)).toBe(true);
  const [third, fourth] = [open(3), open(4)];
  expect(third).toMatchObject({ ok: false, code: "unavailable", retryAfterMs: expect.any(Number) });
  expect((third as { retryAfterMs: number }).retryAfterMs).toBeLessThan((fourth as { retryAfterMs: number }).retryAfterMs);
  for (let index = 0; index < 4; index += 1) expect((await send(1, index)).ok).toBe(true);
  // One place is free: it is the third's, who asked first, not the fourth's nor a newcomer's.
  expect(open(5).ok).toBe(false);
  expect(open(4).ok).toBe(false);
  expect(open(3).ok).toBe(true);
  for (let index = 0; index < 4; index += 1) await send(2, index);
  // Who does not come when its turn is due loses the turn.
  pass(60_000);
  expect(open(6).ok).toBe(true);
});

test("who waits with a large upload is told to wait longer, within bounds", () => {
  const { open } = scene({ receivingUploads: 1 });
  open(1);
  const waits = [1, 20, 400].map((mb, index) => (open(2 + index, { sizeBytes: mb * MB }) as { retryAfterMs: number }).retryAfterMs);
  expect(waits).toEqual([304, 2_337, 10_000]);
});

test("an upload that makes no progress loses its place to those that wait, and resumes where it was; a wrong chunk is no progress", async () => {
  const { open, send, pass } = scene({ receivingUploads: 1 });
  open(1);
  await send(1, 0);
  pass(UPLOAD_STALLED_MS - 1);
  expect(await send(1, 3)).toMatchObject({ ok: false, code: "bad-chunk" });
  expect(open(2).ok).toBe(false);
  pass(1);
  expect(open(2).ok).toBe(true);
  expect(await send(1, 1)).toMatchObject({ ok: false, code: "unavailable" });
  for (let index = 0; index < 4; index += 1) await send(2, index);
  expect(open(1)).toEqual(ok({ nextChunk: 1 }));
  expect((await send(1, 1)).ok).toBe(true);
});

test("one address does not take every place, and who waits for its own address keeps nobody else waiting", () => {
  const { open } = scene({ receivingUploads: 3, receivingPerAddress: 2 });
  expect([open(1, {}, "one"), open(2, {}, "one"), open(3, {}, "one")].map((reply) => reply.ok)).toEqual([true, true, false]);
  expect(open(4, {}, "another").ok).toBe(true);
});

test("keys that open uploads and send nothing reserve no more than a window each place, and nothing once they left", () => {
  const { open, uploads } = scene({ spoolBytes: 100 * MB, receivingUploads: 8 });
  for (let who = 0; who < 600; who += 1) {
    open(who, { sizeBytes: 4 * MB });
    expect(uploads.reservedBytes).toBeLessThanOrEqual(8 * MB);
    uploads.end("a-run", `0.${who}`, 1, who % 2 === 0 ? "left" : "expired");
  }
  expect(uploads.reservedBytes).toBe(0);
  expect(open(1_000, { sizeBytes: 4 * MB }).ok).toBe(true);
});

test("what has come of a late answer stays; it goes with the run's stop, and at a pause where nobody sends it", async () => {
  const { open, send, uploads, spool } = scene();
  for (const who of [1, 2]) {
    open(who);
    await send(who, 0);
  }
  uploads.end("a-run", "0.1", 1, "left");
  uploads.end("a-run", "0.2", 1, "expired");
  expect(uploads.reservedBytes).toBe(CHUNK_BYTES + MB);
  uploads.endRun("a-run", false);
  expect(uploads.reservedBytes).toBe(MB);
  expect((await send(2, 1)).ok).toBe(true);
  uploads.endRun("a-run", true);
  expect(uploads.reservedBytes).toBe(0);
  await uploads.idle();
  expect(spool.names()).toEqual([]);
});

test("a full spool makes room by what has least and is at rest; its sender hears that it may send again", async () => {
  const { open, send, uploads } = scene({ spoolBytes: 2 * MB });
  for (const [who, chunks] of [
    [1, 1],
    [2, 3],
  ] as const) {
    open(who);
    for (let index = 0; index < chunks; index += 1) await send(who, index);
    uploads.end("a-run", `0.${who}`, 1, "left");
  }
  expect(uploads.reservedBytes).toBe(MB);
  open(3);
  await send(3, 0);
  expect(open(4).ok).toBe(true);
  expect(await send(1, 1)).toMatchObject({ ok: false, code: "spool-full" });
  // Only the two that send are left, and neither has less than a newcomer.
  expect(open(5)).toMatchObject({ ok: false, code: "spool-full" });
  expect(uploads.reservedBytes).toBeLessThanOrEqual(2 * MB);
});

test("a key has no more unfinished uploads than open assignments", async () => {
  const { header, uploads, pass } = scene();
  for (let lease = 0; lease < 5; lease += 1) {
    pass(1);
    expect(uploads.open(header(lease, { volunteer: "1".repeat(64) }), SIGNATURE, "address").ok).toBe(true);
  }
  expect(uploads.sizes.uploads).toBe(MAX_OPEN_ASSIGNMENTS);
});

test("settled uploads leave a bounded number of verdicts, and a sweep looks only at those under way", async () => {
  const { open, send, uploads, pass, spool } = scene();
  for (let who = 0; who < KEPT_VERDICTS + 50; who += 1) {
    open(who, { sizeBytes: CHUNK_BYTES });
    expect((await send(who, 0)).ok).toBe(true);
  }
  await uploads.idle();
  expect(uploads.sizes).toEqual({ uploads: 0, verdicts: KEPT_VERDICTS });
  expect(uploads.reservedBytes).toBe(0);
  expect(spool.names()).toEqual([]);
  // The acknowledgement was lost: the last chunk again gives the verdict again.
  expect(await send(KEPT_VERDICTS + 49, 0)).toEqual(ok({ kind: "admitted", version: 1 }));
  open(9_999);
  pass(UPLOAD_IDLE_MS - 1);
  await send(9_999, 7);
  pass(2);
  uploads.sweep();
  expect(uploads.sizes.uploads).toBe(0);
});

test("a blocked volunteer's upload under way answers that it is blocked", async () => {
  const { open, send, uploads } = scene();
  open(1);
  await send(1, 0);
  const underWay = send(1, 1);
  uploads.end("a-run", "0.1", 1, "blocked");
  expect(await underWay).toMatchObject({ ok: false, code: "blocked" });
  expect(await send(1, 2)).toMatchObject({ ok: false, code: "blocked" });
});

/** An upload of four chunks of which `sent` came before the coordinator was interrupted, and the same spool in the next one. */
async function interrupted(sent: number, spoil?: (spool: MemorySpool, name: string) => Promise<void>) {
  const bytes = Uint8Array.from({ length: MB }, (_, at) => at & 255);
  const before = scene();
  before.open(1);
  const chunkOf = (index: number) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
  const { run, lease, attempt, volunteer } = before.header(1);
  for (let index = 0; index < sent; index += 1) await before.uploads.chunk(volunteer, { run, lease, attempt, index }, chunkOf(index));
  const name = before.spool.names()[0];
  if (name !== undefined) await spoil?.(before.spool, name);
  const whole = (name: string): Promise<boolean> =>
    before.spool.read(name).then((found) => found !== null && Buffer.from(found).equals(bytes));
  const after = scene({}, before.spool, async (name) =>
    ok((await whole(name)) ? { ok: true, norm: 1 } : { ok: false, code: "wrong-hash", detail: "other bytes" }),
  );
  const resumed = await after.uploads.resume(() => true);
  return { ...after, resumed, send: (index: number) => after.uploads.chunk(volunteer, { run, lease, attempt, index }, chunkOf(index)) };
}

test("an upload that a restart interrupted goes on by chunk, once its sender has opened it again", async () => {
  const { resumed, open, send, uploads, spool } = await interrupted(2);
  expect([resumed, uploads.reservedBytes]).toEqual([1, 2 * CHUNK_BYTES]);
  expect(await send(2)).toMatchObject({ ok: false, code: "unknown-upload" });
  expect(open(1)).toEqual(ok({ nextChunk: 2 }));
  expect(await send(2)).toEqual(ok({ kind: "received", nextChunk: 3 }));
  expect(await send(3)).toEqual(ok({ kind: "admitted", version: 1 }));
  await uploads.idle();
  expect([spool.names(), uploads.reservedBytes]).toEqual([[], 0]);
});

test("of an upload that was whole the last chunk is asked for again: its answer is the verdict", async () => {
  const { open, send, spool } = await interrupted(3, async (left, name) => left.append(name, new Uint8Array(CHUNK_BYTES)));
  expect(open(1)).toEqual(ok({ nextChunk: 3 }));
  expect((await spool.read(spool.names()[0] ?? ""))?.length).toBe(3 * CHUNK_BYTES);
  expect(await send(3)).toEqual(ok({ kind: "admitted", version: 1 }));
});

test("a torn end is cut to whole chunks; bytes that a power cut spoiled are found by the hash and asked for again", async () => {
  const torn = await interrupted(3, (left, name) => left.cut(name, 2 * CHUNK_BYTES + 17));
  expect(torn.open(1)).toEqual(ok({ nextChunk: 2 }));
  const zeroed = await interrupted(3, async (left, name) => {
    const came = (await left.read(name)) ?? new Uint8Array(0);
    await left.cut(name, 0);
    await left.append(name, came.fill(0, 100, 5_000));
  });
  expect(zeroed.open(1)).toEqual(ok({ nextChunk: 3 }));
  expect(await zeroed.send(3)).toMatchObject({ ok: false, code: "unavailable", message: expect.stringContaining("send it again") });
  expect(zeroed.open(1)).toEqual(ok({ nextChunk: 0 }));
  for (let index = 0; index < 3; index += 1) await zeroed.send(index);
  expect(await zeroed.send(3)).toEqual(ok({ kind: "admitted", version: 1 }));
});

test("what cannot be used of an earlier process's uploads is forgotten", async () => {
  for (const spoil of [
    async (left: MemorySpool, name: string) => left.begin(name, '{"header": 7}'),
    async (left: MemorySpool, name: string) => left.begin(name, "torn {"),
    async (left: MemorySpool, name: string) => left.cut(name, CHUNK_BYTES - 1),
  ]) {
    const { resumed, open, spool } = await interrupted(2, spoil);
    expect([resumed, spool.names()]).toEqual([0, []]);
    expect(open(1)).toEqual(ok({ nextChunk: 0 }));
  }
  const unwanted = scene({}, (await interrupted(2)).spool);
  expect(await unwanted.uploads.resume(() => false)).toBe(0);
  expect(unwanted.spool.names()).toEqual([]);
});

test("other bytes for the same lease take the place of what an earlier process left", async () => {
  const { open, spool, uploads } = await interrupted(2);
  expect(open(1, { sha256: "f".repeat(64) })).toEqual(ok({ nextChunk: 0 }));
  await uploads.idle();
  expect(spool.names()).toEqual([]);
});

test("a chunk that the spool cannot take is refused, is no fault of its sender, and comes again to the same place", async () => {
  const { open, send, spool } = scene();
  open(1);
  await send(1, 0);
  const append = spool.append.bind(spool);
  spool.append = async (name, bytes) => {
    await append(name, bytes.subarray(0, 1_000));
    throw Object.assign(new Error("The disk is full"), { code: "disk-full" });
  };
  expect(await send(1, 1)).toMatchObject({ ok: false, code: "disk-full" });
  spool.append = append;
  expect(open(1)).toEqual(ok({ nextChunk: 1 }));
  expect(await send(1, 1)).toEqual(ok({ kind: "received", nextChunk: 2 }));
  expect((await spool.read(spool.names()[0] ?? ""))?.length).toBe(2 * CHUNK_BYTES);
});

test("an upload that could not be decided on, since storage refused it, goes with its round", async () => {
  const refused = () => Promise.resolve(refuse("disk-full", "the disk is full"));
  const { open, send, uploads, spool } = scene({}, new MemorySpool(), refused);
  for (const who of [1, 2]) {
    open(who);
    for (let index = 0; index < 3; index += 1) await send(who, index);
  }
  expect(await send(1, 3)).toMatchObject({ ok: false, code: "disk-full" });
  expect(uploads.sizes.uploads).toBe(2);
  const late = send(2, 3);
  uploads.endRound("a-run", 1);
  expect(await late).toMatchObject({ ok: false });
  await uploads.idle();
  expect(uploads.sizes.uploads).toBe(0);
  expect(uploads.reservedBytes).toBe(0);
  expect(spool.names()).toEqual([]);
});

test("what the disk failed to write is given up, and may be sent again from its beginning", async () => {
  const { spool, open, send, uploads } = scene();
  open(1);
  for (let index = 0; index < 3; index++) await send(1, index);
  const { end } = spool;
  spool.end = () => Promise.reject(Object.assign(new Error("The disk is broken"), { code: "unavailable" }));
  expect(await send(1, 3)).toMatchObject({ ok: false, code: "unavailable" });
  await uploads.idle();
  expect([spool.names(), uploads.reservedBytes]).toEqual([[], 0]);
  spool.end = end;
  expect(open(1)).toEqual(ok({ nextChunk: 0 }));
  for (let index = 0; index < 3; index++) await send(1, index);
  expect(await send(1, 3)).toEqual(ok({ kind: "admitted", version: 1 }));
});
