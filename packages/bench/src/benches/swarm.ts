// Bench `swarm`: a coordinator under 200 synthetic volunteers on a run of a million parameters. Memory, leases a second, event loop.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunDetail, RunSpec } from "@weft/protocol";
import type { Bench, Row } from "../bench.ts";
import { serve, WEFT } from "../support/coordinator-process.ts";
import { watchResident } from "../support/resident.ts";

const VOLUNTEERS = 200;
const SAMPLES_PER_SECOND = 20;
const LEASE_MS = 10_000;
/**
 * A quarter of the volunteers has the leases of a version, the others wait for the next: some 50 contributions of a megabyte each 10 s. The first
 * leases are short, since no speed is measured yet: they come as one burst.
 */
const SAMPLES_PER_VERSION = (VOLUNTEERS * SAMPLES_PER_SECOND * LEASE_MS) / 1_000 / 4;
/** Several leases' time: an upload that waits for a busy processor is slow, not lost. */
const DEADLINE_MS = 6 * LEASE_MS;
const MEBIBYTE = 1024 * 1024;

/** mlp 64-896-1024-10: 987,018 parameters. */
const millionParameters = (seed: number): RunSpec => ({
  format: "weft-run/1",
  name: "million",
  description: "A million parameters, for the load bench",
  license: "Apache-2.0",
  seed,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [896, 1024], classes: 10 },
  training: {
    mode: "gradient",
    versions: 100_000,
    samplesPerVersion: SAMPLES_PER_VERSION,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 0.01, momentum: 0.9, weightDecay: 0 },
    schedule: { kind: "constant", warmupVersions: 0 },
    codec: "int8",
  },
  round: { leaseMs: LEASE_MS, deadlineMs: DEADLINE_MS, maxStaleness: 0 },
  evaluation: { everyVersions: 100_000, samples: 1 },
  checkpoints: { everyVersions: 1_000_000 },
});

/** Milliseconds of the coordinator's own gauge `weft_event_loop_delay_seconds`; null where it is not exported. */
const loopDelayMs = (metrics: string, stat: "p99" | "max"): number | null => {
  const found = new RegExp(`^weft_event_loop_delay_seconds\\{stat="${stat}"\\} (\\S+)$`, "m").exec(metrics)?.[1];
  return found === undefined ? null : 1000 * Number(found);
};

async function swarmOf(
  url: string,
  run: string,
  seconds: number,
  seed: number,
): Promise<{ readonly leases: number; readonly admitted: number; readonly refused: Readonly<Record<string, number>> }> {
  const folder = await mkdtemp(join(tmpdir(), "weft-swarm-"));
  const file = join(folder, "swarm.json");
  const args = [
    WEFT,
    "swarm",
    url,
    "--volunteers",
    String(VOLUNTEERS),
    "--synthetic",
    "--speeds",
    `lognormal:${SAMPLES_PER_SECOND}`,
    "--seed",
    String(seed),
    "--duration",
    String(seconds),
    "--run",
    run,
    "--json",
    file,
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  await new Promise((resolve) => child.once("exit", resolve));
  const report = JSON.parse(await readFile(file, "utf8")) as { leases: number; admitted: number; refused: Record<string, number> };
  await rm(folder, { recursive: true, force: true });
  return report;
}

export const swarmBench: Bench = {
  name: "swarm",
  about: "coordinator memory, throughput and event loop under 200 synthetic volunteers",
  async run({ short, seed, say }) {
    const seconds = short ? 50 : 120;
    const coordinator = await serve();
    try {
      for (const { run } of await coordinator.json<readonly { run: string }[]>("/api/runs"))
        await coordinator.command({ type: "pause-run", run });
      const reply = await coordinator.command({ type: "create-run", spec: millionParameters(seed) });
      const run = reply?.run ?? "";
      const before = await coordinator.json<RunDetail>(`/api/runs/${run}`);
      say(`${VOLUNTEERS} synthetic volunteers for ${seconds} s on ${before.parameters.toLocaleString("en")} parameters ...`);
      const stopWatching = watchResident(coordinator.pid, 250);
      let connected = 0;
      const counting = setInterval(() => {
        coordinator.json<{ volunteersNow: number }>("/api/info").then(
          ({ volunteersNow }) => {
            connected = Math.max(connected, volunteersNow);
          },
          () => undefined,
        );
      }, 1_000);
      const swarm = await swarmOf(coordinator.url, run, seconds, seed).finally(() => clearInterval(counting));
      const resident = stopWatching();
      const after = await coordinator.json<RunDetail>(`/api/runs/${run}`);
      const metrics = await coordinator.text("/metrics");
      const rows: Row[] = [
        {
          figure: "volunteers connected at once",
          value: connected,
          unit: "",
          goal: { at: "least", value: VOLUNTEERS },
          anchor: "the load itself",
        },
        { figure: "volunteers that had a lease", value: after.volunteersEver, unit: "", goal: null, anchor: "" },
        { figure: "parameters", value: before.parameters, unit: "", goal: null, anchor: "the load itself" },
        {
          figure: "resident memory, most",
          value: resident.max / MEBIBYTE,
          unit: "MiB",
          goal: { at: "most", value: 200 },
          anchor: "goal of the issue",
          note: "without TensorFlow.js, which a thread of this process loads only to evaluate models other than an mlp",
        },
        { figure: "resident memory, median", value: resident.median / MEBIBYTE, unit: "MiB", goal: null, anchor: "" },
        { figure: "contributions admitted", value: swarm.admitted, unit: "", goal: { at: "least", value: 1 }, anchor: "" },
        {
          figure: "contributions admitted a second",
          value: swarm.admitted / seconds,
          unit: "1/s",
          goal: null,
          anchor: "swarm and coordinator share the machine",
        },
        {
          figure: "contributions and requests refused",
          // "unavailable" is the line for uploads: it tells a sender when its turn comes.
          value: Object.values(swarm.refused).reduce((sum, count) => sum + count, 0),
          unit: "",
          goal: null,
          anchor: "",
        },
        ...Object.entries(swarm.refused).map(
          ([code, value]): Row => ({ figure: `refused: ${code}`, value, unit: "", goal: null, anchor: "" }),
        ),
        { figure: "versions made", value: after.version, unit: "", goal: { at: "least", value: 1 }, anchor: "" },
        {
          figure: "event loop delay, 99th percentile",
          value: loopDelayMs(metrics, "p99"),
          unit: "ms",
          goal: { at: "most", value: 20 },
          anchor: "goal of the issue",
        },
        {
          figure: "event loop delay, most",
          value: loopDelayMs(metrics, "max"),
          unit: "ms",
          goal: null,
          anchor: "includes waiting for a processor",
        },
      ];
      return rows;
    } finally {
      await coordinator.stop();
    }
  },
};
