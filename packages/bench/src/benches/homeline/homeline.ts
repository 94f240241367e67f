// Bench `homeline`: of the time of volunteers behind home lines, how much they compute. Each has a proxy for a line: real sockets, real
// HTTP, real encoder and coordinator, and a device that only takes the time of a lease.
import type { LedgerRecord, RunSummary, SpentMs } from "@weft/protocol";
import { type ShapedLine, shapedLine } from "@weft/testkit/shaped-line";
import type { Bench, BenchContext, Row } from "../../bench.ts";
import { AnsweringProcess } from "../../support/child-processes.ts";
import { type Served, serve } from "../../support/coordinator-process.ts";
import { type Answer, HOMES, type Home, homeRun, type Order, samplesPerSecond, type VolunteerOrder, type VolunteerReport } from "./home.ts";

/** How long everybody may take to the first lease handed in. */
const BEGIN_LIMIT_MS = 120_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One volunteer: its line and its process. */
interface Household {
  readonly line: ShapedLine;
  readonly process: AnsweringProcess<Order, Answer>;
}

async function household(line: ShapedLine, order: Omit<VolunteerOrder, "url">): Promise<Household> {
  const process = new AnsweringProcess<Order, Answer>(new URL("./volunteer-process.ts", import.meta.url), "a volunteer's process");
  await process.ask({ kind: "begin", volunteer: { ...order, url: `http://localhost:${line.port}` } }, "begun");
  return { line, process };
}

const reportsOf = (households: readonly Household[]): Promise<readonly VolunteerReport[]> =>
  Promise.all(households.map(({ process }) => process.ask({ kind: "report" }, "report")));

/** What everybody has done until now, and what their lines have carried. */
interface Mark {
  readonly reports: readonly VolunteerReport[];
  readonly upBytes: number;
  readonly downBytes: number;
  readonly version: number;
}

async function mark(households: readonly Household[], coordinator: Served, run: string): Promise<Mark> {
  const { version } = await coordinator.json<RunSummary>(`/api/runs/${run}`);
  const carried = households.map(({ line }) => line.carried());
  return {
    reports: await reportsOf(households),
    upBytes: carried.reduce((sum, { upBytes }) => sum + upBytes, 0),
    downBytes: carried.reduce((sum, { downBytes }) => sum + downBytes, 0),
    version,
  };
}

/** Versions between the one that a contribution was made on and the one before that which counts it. */
async function stalenessOf(coordinator: Served, run: string, fromVersion: number): Promise<readonly number[]> {
  const versions = new Map<string, number>();
  const bases = new Map<string, number>();
  const found: number[] = [];
  for (let from = 0; ; ) {
    const lines = (await coordinator.text(`/api/runs/${run}/ledger?from=${from}&limit=1000`)).split("\n").filter((text) => text !== "");
    if (lines.length === 0) return found;
    from += lines.length;
    for (const { event } of lines.map((text) => JSON.parse(text) as LedgerRecord)) {
      if (event.type === "run-created") versions.set(event.weights.sha256, 0);
      if (event.type === "contribution-admitted") bases.set(event.header.lease, versions.get(event.header.base) ?? Number.NaN);
      if (event.type !== "version-published") continue;
      versions.set(event.weights.sha256, event.version);
      if (event.version <= fromVersion) continue;
      for (const { lease } of event.contributions) found.push(event.version - 1 - (bases.get(lease) ?? Number.NaN));
    }
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

interface Measured {
  readonly begun: Mark;
  readonly ended: Mark;
  readonly staleness: readonly number[];
}

async function measure(home: Home, coordinator: Served, { seed, say }: BenchContext): Promise<Measured> {
  for (const { run } of await coordinator.json<readonly RunSummary[]>("/api/runs")) await coordinator.command({ type: "pause-run", run });
  const run = (await coordinator.command({ type: "create-run", spec: homeRun(home, seed) }))?.run ?? "";
  const households: Household[] = [];
  try {
    for (let index = 0; index < home.volunteers; index++) {
      const line = await shapedLine(coordinator.port, home.line);
      const order = { origin: coordinator.url, run, parameters: home.parameters, samplesPerSecond: samplesPerSecond(home) };
      households.push(await household(line, { ...order, seed: seed + index }));
      // As people come: at any moment of each other's leases.
      await sleep(home.leaseMs / home.volunteers);
    }
    const limitMs = Date.now() + BEGIN_LIMIT_MS;
    while (!(await reportsOf(households)).every(({ admitted }) => admitted > 0)) {
      if (Date.now() > limitMs) throw new Error("Not everybody handed in a lease in time.");
      await sleep(100);
    }
    const begun = await mark(households, coordinator, run);
    say(`${home.volunteers} volunteers work; measuring for ${home.measuredMs / 1_000} s ...`);
    await sleep(home.measuredMs);
    const ended = await mark(households, coordinator, run);
    return { begun, ended, staleness: await stalenessOf(coordinator, run, begun.version) };
  } finally {
    for (const { process } of households) process.end();
    await Promise.all(households.map(({ line }) => line.close()));
  }
}

function rowsOf(home: Home, { begun, ended, staleness }: Measured): readonly Row[] {
  const differences = (of: (report: VolunteerReport) => number): readonly number[] =>
    ended.reports.map((report, index) => of(report) - of(begun.reports[index] as VolunteerReport));
  const wallMs = differences(({ atMs }) => atMs);
  const shares = (of: (report: VolunteerReport) => number): readonly number[] =>
    differences(of).map((spentMs, index) => spentMs / (wallMs[index] as number));
  const kinds = (kind: keyof SpentMs): readonly number[] => shares(({ spentMs }) => spentMs[kind]);
  const computing = kinds("computing");
  const leases = sum(differences(({ admitted }) => admitted));
  const ways = (way: keyof VolunteerReport["weights"]): number => sum(differences(({ weights }) => weights[way]));
  const { upBitsPerSecond, downBitsPerSecond, roundTripMs } = home.line;
  const mega = (bits: number): string => (bits / 1e6).toPrecision(3);
  const line =
    `a proxy gives each volunteer ${mega(upBitsPerSecond)} Mbit/s up, ${mega(downBitsPerSecond)} down, ${roundTripMs} ms round trip, ` +
    "for its socket and its downloads together; its device takes the time of the lease and computes nothing";
  const share = (figure: string, value: number): Row => ({ figure, value, unit: "of wall time", goal: null, anchor: "" });
  return [
    {
      ...share("computing", mean(computing)),
      goal: { at: "least", value: home.leastComputing },
      anchor: "goal of the issue",
      note: line,
    },
    share("computing, the least of all volunteers", Math.min(...computing)),
    {
      ...share("device had samples", mean(shares(({ deviceMs }) => deviceMs))),
      goal: { at: "least", value: home.leastComputing },
      anchor: "computing without encoding and what lies between steps",
    },
    {
      ...share("device had samples, of steps as long as planned", mean(shares(({ plannedMs }) => plannedMs))),
      goal: home.judgesPlannedMs ? { at: "least", value: home.leastComputing } : null,
      anchor: "without lateness of timers as well",
    },
    share("uploading and nothing else", mean(kinds("uploading"))),
    share("downloading and not computing", mean(kinds("downloading"))),
    share("waiting", mean(kinds("waiting"))),
    { figure: "parameters", value: home.parameters, unit: "", goal: null, anchor: "the load itself" },
    { figure: "contributions admitted", value: leases, unit: "", goal: { at: "least", value: home.volunteers }, anchor: "the load itself" },
    {
      figure: "contributions refused",
      value: sum(ended.reports.map(({ refused }) => refused)),
      unit: "",
      goal: { at: "most", value: 0 },
      anchor: "",
    },
    { figure: "versions closed", value: ended.version - begun.version, unit: "", goal: { at: "least", value: 1 }, anchor: "" },
    {
      figure: "versions behind, mean of the contributions counted",
      value: staleness.length === 0 ? null : mean(staleness),
      unit: "versions",
      goal: null,
      anchor: "leases are fetched while the one before is computed",
    },
    {
      figure: "exactly one version behind",
      value: staleness.length === 0 ? null : staleness.filter((versions) => versions === 1).length / staleness.length,
      unit: "of them",
      goal: null,
      anchor: `versions of ${home.buffer} contributions`,
    },
    {
      figure: "weights that came by deltas",
      value: ways("deltas") / (ways("deltas") + ways("snapshot")),
      unit: "of all",
      goal: { at: "least", value: 1 },
      anchor: "each volunteer's first came whole, before",
    },
    {
      figure: "payload up, each lease",
      value: sum(differences(({ bytesUp }) => bytesUp)) / leases,
      unit: "bytes",
      goal: null,
      anchor: `f32: ${(4 * home.parameters).toLocaleString("en")}`,
    },
    { figure: "on the line up, each lease", value: (ended.upBytes - begun.upBytes) / leases, unit: "bytes", goal: null, anchor: "" },
    { figure: "on the line down, each lease", value: (ended.downBytes - begun.downBytes) / leases, unit: "bytes", goal: null, anchor: "" },
  ];
}

export const homelineBench: Bench = {
  name: "homeline",
  about: "of the time of volunteers behind home lines, how much they compute",
  async run(context) {
    const home = HOMES[context.short ? "short" : "full"];
    const coordinator = await serve();
    try {
      return rowsOf(home, await measure(home, coordinator, context));
    } finally {
      await coordinator.stop();
    }
  },
};
