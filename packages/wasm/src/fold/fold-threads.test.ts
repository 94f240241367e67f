// Folds by several threads: the bits of the reference, whoever does which part; and what becomes of threads that never come, fail, or stop midway.
import { createHash } from "node:crypto";
import { type Codec, codecNamed, randomStream } from "@weft/tensors";
import { aggregationRule } from "@weft/training";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFoldWorker } from "../../../../apps/coordinator/src/fold-threads.ts";
import { type FoldMessage, type FoldThreadOptions, foldThread, wasmMean } from "./wasm-mean.ts";

const reference = aggregationRule({ kind: "mean" });
/** Of several tasks, the last one short. */
const SIZE = 3 * 65_536 + 4096 + 300;
/** Words of a message, as fold-threads.ts lays them out. */
const [TAKEN, FAILED] = [0, 48];

interface Update {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
  readonly weight: number;
}

function update(name: string, lease: number, room: "own" | "shared" = "shared"): Update {
  const codec = codecNamed(name) as Codec;
  const random = randomStream(3, lease);
  const encoded = codec.encode(
    Float32Array.from({ length: SIZE }, () => random.normal() * 0.02),
    { seed: 3, lease },
  );
  if (!encoded.ok) throw new Error(encoded.detail);
  if (room === "own") return { codec, bytes: encoded.bytes, weight: 1 + lease / 3 };
  const bytes = new Uint8Array(new SharedArrayBuffer(encoded.bytes.length));
  bytes.set(encoded.bytes);
  return { codec, bytes, weight: 1 + lease / 3 };
}

function fold(rule: typeof reference, updates: readonly Update[]): unknown {
  const aggregation = rule.start(SIZE);
  for (const { weight, ...rest } of updates) {
    const refused = aggregation.add(rest, weight);
    if (refused !== null) return refused;
  }
  return said(aggregation.finish());
}
/** The bits of an aggregate, short; a refusal as it is. */
const said = (result: ReturnType<ReturnType<typeof reference.start>["finish"]>): unknown =>
  result.ok && result.aggregate !== null ? createHash("sha256").update(new Uint8Array(result.aggregate.buffer)).digest("hex") : result;

/** A thread of this test's own making, for `wasmMean`. */
function threads(post: (message: FoldMessage) => void, patienceMs = 10_000) {
  const seen = { started: 0, ended: 0, lost: [] as string[] };
  const options: FoldThreadOptions = {
    count: 2,
    start: () => {
      seen.started += 1;
      return {
        post,
        terminate: () => {
          seen.ended += 1;
        },
      };
    },
    patienceMs,
    leastValues: 1,
    onLost: (why) => seen.lost.push(why),
  };
  return { mean: wasmMean(options), seen };
}
const takeTask = ({ words }: FoldMessage): void => void Atomics.add(words, TAKEN, 1);

describe("a fold by real threads", { timeout: 60_000 }, () => {
  let worker: ReturnType<typeof startFoldWorker>;
  let taken = 0;
  let mean: typeof reference;
  beforeAll(async () => {
    worker = startFoldWorker();
    await worker.ready;
    const post = (message: FoldMessage): void => {
      worker.worker.postMessage(message);
      // So that it is sure to have a part: this one begins when the other has taken something.
      for (let tries = 0; Atomics.load(message.words, TAKEN) === 0 && tries < 5_000; tries++) Atomics.wait(message.words, FAILED, 0, 1);
      taken += Atomics.load(message.words, TAKEN);
    };
    ({ mean } = threads(post));
  }, 60_000);
  afterAll(() => worker.worker.terminate());

  it.each(["f32", "int8", "int4", "ternary"])("has the bits of the reference for %s, also where more come than are gathered", (name) => {
    for (const count of [1, 5, 11]) {
      const before = taken;
      const updates = Array.from({ length: count }, (_, lease) => update(name, lease));
      expect(fold(mean, updates), `${count} updates`).toEqual(fold(reference, updates));
      expect(taken).toBeGreaterThan(before);
    }
  });

  it("folds a mixture, and refuses a damaged one among them in the words of the reference", () => {
    const updates = ["ternary", "f32", "int4", "ternary", "int8"].map((name, lease) => update(name, lease));
    expect(fold(mean, updates)).toEqual(fold(reference, updates));
    for (const [index, at] of [
      [0, -9],
      [3, 4000],
      [1, 4 * (SIZE - 1) + 3],
    ] as const) {
      const { bytes: good, ...rest } = updates[index] as Update;
      const bytes = new Uint8Array(new SharedArrayBuffer(good.length));
      bytes.set(good);
      bytes.fill(0xff, at < 0 ? good.length + at : at, at < 0 ? undefined : at + 2);
      if (rest.codec.name === "f32") bytes.set([0, 0, 0xc0, 0x7f], 4 * (SIZE - 1));
      const damaged = updates.map((each, other) => (other === index ? { ...rest, bytes } : each));
      const refusal = fold(reference, damaged);
      expect(refusal).toMatchObject({ ok: false });
      expect(fold(mean, damaged)).toEqual(refusal);
    }
  });
});

describe("threads that are of no help", { timeout: 60_000 }, () => {
  const updates = ["f32", "ternary", "f32"].map((name, lease) => update(name, lease));
  const expected = fold(reference, updates);

  it("are not waited for where they never begin", () => {
    const { mean, seen } = threads(() => undefined);
    for (let round = 0; round < 3; round++) expect(fold(mean, updates)).toEqual(expected);
    expect(seen).toEqual({ started: 1, ended: 0, lost: [] });
  });

  it("are given up where one stops midway, and what it writes later changes nothing", () => {
    const messages: FoldMessage[] = [];
    const { mean, seen } = threads((message) => {
      messages.push(message);
      if (message.job.kind === "fold") takeTask(message);
    }, 20);
    const aggregation = mean.start(SIZE);
    for (const { weight, ...rest } of updates) aggregation.add(rest, weight);
    const result = aggregation.finish();
    const late = messages.at(-1)?.job;
    if (late?.kind !== "fold" || late.fold.into.kind !== "mean") throw new Error("nothing was shared");
    late.fold.into.mean.fill(Number.NaN);
    expect(said(result)).toEqual(expected);
    expect(seen).toEqual({ started: 1, ended: 1, lost: ["A thread that folds did not end its part within 0.02 s"] });
    expect(fold(mean, updates)).toEqual(expected);
    expect(seen.started).toBe(1);
  });

  it("are given up where one fails, and sums kept from before are whole", () => {
    const many = Array.from({ length: 11 }, (_, lease) => update("f32", lease));
    const helper = foldThread();
    let jobs = 0;
    const { mean, seen } = threads((message) => {
      // The second job begins with the sums of the first.
      if (++jobs < 2) return;
      takeTask(message);
      expect(() => helper({ ...message, job: { kind: "fold", fold: null as never } })).toThrow();
    });
    expect(fold(mean, many)).toEqual(fold(reference, many));
    expect(jobs).toBe(2);
    expect(seen).toEqual({ started: 1, ended: 1, lost: ["A thread that folds has failed"] });
  });

  it("are given up where the platform has none to give, or takes no message", () => {
    const none = (): never => {
      throw new Error("no more threads");
    };
    for (const start of [none, () => ({ post: none, terminate: () => undefined })]) {
      const lost: string[] = [];
      const mean = wasmMean({ count: 2, start, leastValues: 1, onLost: (why) => lost.push(why) });
      for (let round = 0; round < 2; round++) expect(fold(mean, updates)).toEqual(expected);
      expect(lost).toEqual(["Threads that fold cannot be had: no more threads"]);
    }
  });

  it("are not asked where updates lie in memory of this thread, are read in order, or are small", () => {
    const { mean, seen } = threads(() => undefined);
    const mixed = [...updates, update("topk", 4)];
    const owned = ["f32", "int8"].map((name, lease) => update(name, lease, "own"));
    for (const some of [mixed, owned]) expect(fold(mean, some)).toEqual(fold(reference, some));
    expect(seen.started).toBe(0);
    const usual: FoldThreadOptions = { count: 2, start: () => expect.unreachable("a small fold has asked for a thread") };
    expect(fold(wasmMean(usual), updates)).toEqual(expected);
  });
});
