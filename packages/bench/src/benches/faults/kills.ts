// Two hundred times SIGKILL at a random moment of real training: what volunteers were told is kept, nothing is counted twice, the weights are
// those that a replay gives; and how long it takes until somebody has a lease again.
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { replay, storageSource, verify } from "@weft/audit";
import type { LedgerRecord, RunSpec } from "@weft/protocol";
import { openFileStorage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { randomStream } from "@weft/tensors";
import { brokenPromises, type Heard, nothingHeard, steadyVolunteer } from "@weft/testkit/steady";
import type { Volunteer } from "@weft/volunteer";
import type { BenchContext, Row } from "../../bench.ts";
import { type Served, serve } from "../../support/coordinator-process.ts";

const KILLS = 200;
const SHORT_KILLS = 10;
const VOLUNTEERS = 3;
/** Milliseconds of one step of 32 samples, as on a small device: a version takes about a tenth of a second. */
const STEP_MS = 15;
/** Training goes on for up to so long before the next kill. */
const LONGEST_MS = 2_000;
const LEASE_LIMIT_MS = 60_000;
/** The next kill is not begun after this long: the rows say how many there were. */
const LIMIT_MS = 15 * 60_000;

/** More than are appended within the second after which everything is on the disk. */
const BUFFERED_RECORDS = 2_000;

const killedRun = (seed: number): RunSpec => ({
  format: "weft-run/1",
  name: "killed",
  description: "Handwritten digits, for the bench of kills",
  license: "Apache-2.0",
  seed,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 1_000_000,
    samplesPerVersion: 192,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "f32",
  },
  round: { leaseMs: 3_000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 10, samples: 40 },
  checkpoints: { everyVersions: 50 },
  retention: { contributions: "all" },
});

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function untilLease(heard: Heard, before: number): Promise<void> {
  const untilMs = performance.now() + LEASE_LIMIT_MS;
  while (heard.leases === before) {
    if (performance.now() > untilMs) throw new Error("Nobody was given a lease within a minute of a start.");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What the killed one left in its ledger is read from the next one, from where it was read last. */
async function readOn(served: Served, run: string, records: LedgerRecord[]): Promise<void> {
  // The newest that were read last may not have been on the disk: what nobody was promised may be gone, and its numbers used again.
  records.length = Math.max(0, records.length - BUFFERED_RECORDS);
  for (;;) {
    const lines = (await served.text(`/api/runs/${run}/ledger?from=${records.length}&limit=1000`)).trim();
    if (lines === "") return;
    for (const line of lines.split("\n")) records.push(JSON.parse(line) as LedgerRecord);
  }
}

interface Outcome {
  readonly kills: number;
  readonly heard: Heard;
  readonly lost: number;
  readonly twice: number;
  readonly uncounted: number;
  readonly versions: number;
  readonly identical: boolean;
  readonly leaseMs: readonly number[];
}

async function audit(
  data: string,
  heard: Heard,
): Promise<Pick<Outcome, "twice" | "uncounted" | "versions" | "identical"> & { readonly lost: readonly string[] }> {
  const storage = await openFileStorage(nodeDisk(), data);
  try {
    const records: LedgerRecord[] = [];
    for await (const record of storage.ledger.read("killed")) records.push(record);
    const { lost, twice, uncounted } = brokenPromises(heard, records);
    const source = storageSource(storage, "killed");
    const verified = await verify(source, { hash });
    const replayed = await replay(source, { hash });
    const versions = records.filter(({ event }) => event.type === "version-published").length;
    return {
      lost,
      twice: twice.length,
      uncounted: uncounted.length,
      versions,
      identical: verified.ok && replayed.ok && replayed.same === versions + 1 && replayed.givenUp.length === 0,
    };
  } finally {
    await storage.close();
  }
}

async function kill(context: BenchContext): Promise<Outcome> {
  const { short, seed, say } = context;
  const wanted = short ? SHORT_KILLS : KILLS;
  const chance = randomStream(seed, 0);
  const heard = nothingHeard();
  const records: LedgerRecord[] = [];
  const leaseMs: number[] = [];
  const volunteers: Volunteer[] = [];
  const lostAtOnce = new Set<string>();
  let kills = 0;
  let served = await serve();
  try {
    for (const { run } of await served.json<readonly { run: string }[]>("/api/runs")) await served.command({ type: "pause-run", run });
    await served.command({ type: "create-run", spec: killedRun(seed) });
    for (let index = 0; index < VOLUNTEERS; index++) {
      const volunteer = steadyVolunteer({ url: served.url, seed: seed + index, heard, stepMs: STEP_MS });
      volunteers.push(volunteer);
      volunteer.start("killed");
    }
    await untilLease(heard, 0);
    const beganMs = performance.now();
    while (kills < wanted && performance.now() - beganMs < LIMIT_MS) {
      await new Promise((resolve) => setTimeout(resolve, LONGEST_MS * chance.uniform()));
      await served.end("SIGKILL");
      kills += 1;
      const promised = [...heard.admitted];
      const leases = heard.leases;
      const startedMs = performance.now();
      served = await serve({ again: served });
      await untilLease(heard, leases);
      leaseMs.push(performance.now() - startedMs);
      // A promise that this process gives anew must not hide one that the last one broke.
      await readOn(served, "killed", records);
      const then = { ...heard, admitted: new Map(promised) };
      for (const key of brokenPromises(then, records).lost) lostAtOnce.add(key);
      if (kills % 10 === 0) say(`${kills} kills; ${heard.admitted.size} contributions acknowledged`);
    }
    for (const volunteer of volunteers) await volunteer.stop();
    await served.end("SIGTERM");
    say("replaying ...");
    const found = await audit(served.data, heard);
    for (const key of found.lost) lostAtOnce.add(key);
    return { ...found, kills, heard, leaseMs, lost: lostAtOnce.size };
  } finally {
    for (const volunteer of volunteers) await volunteer.stop();
    await served.end("SIGKILL");
    await rm(served.data, { recursive: true, force: true });
  }
}

/** The rows of the kills; part of the bench `faults`. */
export async function killRows(context: BenchContext): Promise<readonly Row[]> {
  const { kills, heard, lost, twice, uncounted, versions, identical, leaseMs } = await kill(context);
  const sorted = [...leaseMs].sort((a, b) => a - b);
  const bar = "goal of the issue";
  return [
    {
      figure: "SIGKILLs during training",
      value: kills,
      unit: "",
      goal: { at: "least", value: context.short ? SHORT_KILLS : KILLS },
      anchor: bar,
    },
    {
      figure: "contributions acknowledged",
      value: heard.admitted.size,
      unit: "",
      goal: { at: "least", value: kills },
      anchor: "the load itself",
    },
    { figure: "acknowledged contributions lost", value: lost, unit: "", goal: { at: "most", value: 0 }, anchor: bar },
    { figure: "contributions counted twice", value: twice, unit: "", goal: { at: "most", value: 0 }, anchor: bar },
    { figure: "contributions not counted in their version", value: uncounted, unit: "", goal: { at: "most", value: 0 }, anchor: bar },
    { figure: "versions made", value: versions, unit: "", goal: { at: "least", value: 1 }, anchor: "the load itself" },
    {
      figure: "verified, and every version bit-identical to its replay",
      value: identical ? 1 : 0,
      unit: "",
      goal: { at: "least", value: 1 },
      anchor: bar,
    },
    {
      figure: "from start to the first lease after a kill, median",
      value: sorted[sorted.length >> 1] ?? null,
      unit: "ms",
      goal: null,
      anchor: "the start of the process, and the volunteers' waits before they connect again",
    },
    {
      figure: "from start to the first lease after a kill, longest",
      value: sorted.at(-1) ?? null,
      unit: "ms",
      goal: null,
      anchor: "",
    },
  ];
}
