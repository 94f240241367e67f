// A round of large updates, closed by the real threads on a real disk: the version that one thread makes of it in memory.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { LocalCompute, MemorySpool } from "@weft/coordinator";
import { memoryStorage, type Storage } from "@weft/storage";
import { codecNamed, f32ToBytes, randomStream } from "@weft/tensors";
import { TINY_SPEC } from "@weft/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openThreadPool, type ThreadPool } from "./thread-pool.ts";
import { entryOf } from "./threads.ts";

const PARAMETERS = 700_000;
const CONTRIBUTIONS = 7;
const RUN = "large";

let folder = "";
let pool: ThreadPool;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-threads-"));
  pool = await openThreadPool({
    folder,
    spool: join(folder, "spool"),
    storageWorker: entryOf("storage-worker"),
    onStorageLost: (error) => expect.unreachable(error.message),
    log: (line) => expect.unreachable(line),
  });
}, 60_000);
afterAll(async () => {
  await pool.close();
  await rm(folder, { recursive: true });
});

/** Of this process; null where the system does not tell. */
const threads = async (): Promise<number | null> => (process.platform === "linux" ? (await readdir("/proc/self/task")).length : null);
const drawn = (stream: number): Float32Array => {
  const random = randomStream(3, stream);
  return Float32Array.from({ length: PARAMETERS }, () => random.uniform() - 0.5);
};

async function closed(storage: Storage, compute: Pick<LocalCompute, "closeRound">, codec: string, count: number) {
  const weights = await storage.blobs.put(f32ToBytes(drawn(0)));
  const contributions = [];
  for (let lease = 1; lease <= count; lease++) {
    const encoded = codecNamed(codec)?.encode(drawn(lease), { seed: 3, lease });
    if (encoded?.ok !== true) throw new Error(`${codec} does not encode`);
    const sha256 = (await storage.blobs.put(encoded.bytes)).sha256;
    await storage.contributions.put(RUN, sha256, encoded.bytes);
    contributions.push({ lease: `${lease}`, volunteer: "v".repeat(64), sha256, samples: lease, codec, lossMean: 1 });
  }
  return compute.closeRound(RUN, TINY_SPEC, PARAMETERS, { base: 0, weights, steps: 0, optimizer: null, learningRate: 0.01, contributions });
}

it.each(["ternary", "f32"])("in %s is the version that one thread makes of it", { timeout: 60_000 }, async (codec) => {
  const memory = memoryStorage();
  const alone = new LocalCompute({
    storage: memory,
    spool: new MemorySpool(),
    evaluate: () => Promise.reject(new Error("nothing is evaluated")),
  });
  expect(await closed(pool.storage, pool.compute, codec, 1)).toEqual(await closed(memory, alone, codec, 1));
  const before = await threads();
  expect(await closed(pool.storage, pool.compute, codec, CONTRIBUTIONS)).toEqual(await closed(memory, alone, codec, CONTRIBUTIONS));
  // One contribution is folded by the thread that closes; the first large round brings others.
  if (codec === "ternary" && before !== null && availableParallelism() > 1) expect(await threads()).toBeGreaterThan(before);
});
