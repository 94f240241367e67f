// Part `accept` of bench `ingest`: updates of f32 from several senders' sockets to their verdicts, which come when the bytes are durable and
// recorded, against writing and syncing the same bytes to as many files by hand in the same folder, by turns. By turns too a bare server takes
// them (support/bare-server-process.ts): what is lost between its rate and that by hand is lost to sockets and SHA-256.
//
// Whoever takes updates in keeps them, so the files of all three stay until the end: where they were removed after each turn, writing by hand
// would find the memory of its last files at hand, while what is kept needs memory that was in nobody's use, which in a virtual machine the
// host may first have to give. All turns together are judged, but for the first; the fastest of each are told beside them.
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { RunDetail, RunSpec } from "@weft/protocol";
import { randomStream } from "@weft/tensors";
import type { BenchContext, Row } from "../../bench.ts";
import { type BareServer, startBareServer } from "../../support/bare-server.ts";
import { type Served, serve } from "../../support/coordinator-process.ts";
import { processorMs } from "../../support/resident.ts";
import { UpdateSender } from "../../support/update-sender.ts";
import { wideMlp, wideMlpParameters } from "../../support/wide-mlp.ts";

const SENDERS = 4;
/** Who writes: a hand, the bare server, the coordinator. */
type Side = "raw" | "bare" | "accept";

export interface AcceptPlan {
  /** Of an mlp with 64 inputs, 10 classes and two hidden layers as wide as this. */
  readonly width: number;
  /** At least two. */
  readonly turns: number;
  /** Least share of the rate of writing and syncing; null: it is told, not judged, since on a busy machine it says nothing. */
  readonly share: number | null;
}
export const ACCEPT_PLANS: Readonly<Record<"full" | "short", AcceptPlan>> = {
  // 10,022,122 and 1,014,630 parameters.
  full: { width: 3128, turns: 13, share: 0.7 },
  short: { width: 970, turns: 3, share: null },
};

/** Its round is so large that it is never closed here. */
const runOf = (width: number, seed: number): RunSpec => ({
  format: "weft-run/1",
  name: "ingest",
  description: "Takes updates in, for the bench",
  license: "Apache-2.0",
  seed,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: wideMlp(width),
  training: {
    mode: "gradient",
    versions: 1,
    samplesPerVersion: 1_000_000,
    microBatch: 1,
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 0.01, momentum: 0.9, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 1_000, deadlineMs: 600_000, maxStaleness: 0 },
  evaluation: { everyVersions: 1, samples: 1 },
  checkpoints: { everyVersions: 1 },
});

async function rawMs(folder: string, turn: number, payloads: readonly Uint8Array[]): Promise<number> {
  const beganMs = performance.now();
  for (const [index, bytes] of payloads.entries()) {
    const file = await open(join(folder, `by-hand-${turn}-${index}`), "wx");
    try {
      await file.writeFile(bytes);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
  return performance.now() - beganMs;
}

async function acceptMs(senders: readonly UpdateSender[], payloads: readonly Uint8Array[]): Promise<number> {
  const sending = await Promise.all(
    senders.map(async (sender, index) => sender.open(await sender.lease(10), payloads[index] as Uint8Array)),
  );
  const beganMs = performance.now();
  await Promise.all(sending.map((send) => send()));
  return performance.now() - beganMs;
}

/** Processor time of a process from now until the function it gives back is called; null where it is not told. */
function watchProcessor(pid: number): () => number | null {
  const before = processorMs(pid);
  return () => (before === null ? null : (processorMs(pid) as number) - before);
}

async function measure(
  coordinator: Served,
  bare: BareServer,
  { width, turns, share }: AcceptPlan,
  { seed, say }: Pick<BenchContext, "seed" | "say">,
): Promise<readonly Row[]> {
  const parameters = wideMlpParameters(width);
  const run = (await coordinator.command({ type: "create-run", spec: runOf(width, seed) }))?.run ?? "";
  const random = randomStream(seed, 0);
  const payloads = Array.from({ length: SENDERS }, () => Float32Array.from({ length: parameters }, () => random.uniform() - 0.5));
  // Last, since who is connected must answer pings.
  const senders = await Promise.all(Array.from({ length: SENDERS }, () => UpdateSender.connect(coordinator.url, run)));
  const megabytes = (SENDERS * 4 * parameters) / 1e6;
  say(`${SENDERS} updates of ${parameters.toLocaleString("en")} parameters, ${turns} times ...`);
  let [spent, bareSpent] = [watchProcessor(coordinator.pid), watchProcessor(bare.pid)];
  const took: Record<Side, number>[] = [];
  for (let turn = 0; turn < turns; turn++) {
    // In the first turn a process compiles its own code: hundreds of milliseconds, whatever it takes in.
    if (turn === 1) [spent, bareSpent] = [watchProcessor(coordinator.pid), watchProcessor(bare.pid)];
    // Bytes that are stored already are not written again.
    for (const values of payloads) values[0] = random.uniform();
    const bytes = payloads.map((values) => new Uint8Array(values.buffer));
    const ms = { raw: await rawMs(coordinator.data, turn, bytes), bare: await bare.send(bytes), accept: await acceptMs(senders, bytes) };
    if (turn > 0) took.push(ms);
  }
  const together = (of: Side): number => took.reduce((sum, ms) => sum + ms[of], 0) / took.length;
  const fastest = (of: Side): number => Math.min(...took.map((ms) => ms[of]));
  const slowest = (of: Side): number => Math.max(...took.map((ms) => ms[of]));
  const rate = (ms: number): number => megabytes / (ms / 1000);
  const perMegabyte = (ms: number | null): number | null => (ms === null ? null : ms / (megabytes * (turns - 1)));
  const [cost, bareCost] = [perMegabyte(spent()), perMegabyte(bareSpent())];
  for (const sender of senders) sender.close();
  const { round } = await coordinator.json<RunDetail>(`/api/runs/${run}`);
  const counted = round.leases.filter(({ state }) => state === "in").length;
  const row = (figure: string, value: number | null, unit: string, goal: Row["goal"], anchor: string): Row => ({
    figure: `accept: ${figure}`,
    value,
    unit,
    goal,
    anchor,
  });
  const range = (of: Side): string => `each turn ${rate(slowest(of)).toFixed(0)} to ${rate(fastest(of)).toFixed(0)}`;
  return [
    row(
      "of the rate of writing and syncing the same bytes",
      together("raw") / together("accept"),
      "",
      share === null ? null : { at: "least", value: share },
      `by hand, in the same run; ${took.length} turns together`,
    ),
    row(
      "the same, of each its fastest turn",
      fastest("raw") / fastest("accept"),
      "",
      null,
      "a turn of either may have found memory at hand",
    ),
    row(
      "of the rate of a bare server",
      together("bare") / together("accept"),
      "",
      null,
      "which receives, hashes, writes and syncs, and does nothing else",
    ),
    row(
      "a bare server of the rate of writing and syncing",
      together("raw") / together("bare"),
      "",
      null,
      "what sockets and SHA-256 leave of it here",
    ),
    row("updates that the run counts", counted, "", { at: "least", value: SENDERS * turns }, "all that were sent"),
    row("from the socket to durable", rate(together("accept")), "MB/s", null, range("accept")),
    row("bare server", rate(together("bare")), "MB/s", null, range("bare")),
    row("writing and syncing by hand", rate(together("raw")), "MB/s", null, `${range("raw")}; a file and a sync for each update`),
    row("processor time of the coordinator", cost, "ms/MB", null, `where Linux tells it; ${SENDERS} senders on the same processors`),
    row("processor time of the bare server", bareCost, "ms/MB", null, "where Linux tells it"),
  ];
}

export async function acceptRows(plan: AcceptPlan, context: Pick<BenchContext, "seed" | "say">): Promise<readonly Row[]> {
  const coordinator = await serve();
  try {
    const bare = await startBareServer(coordinator.data);
    try {
      return await measure(coordinator, bare, plan, context);
    } finally {
      await bare.stop();
    }
  } finally {
    await coordinator.stop();
  }
}
