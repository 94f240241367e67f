// Federated averaging [McMahan et al., 1602.05629]: rounds of clients that train on their own samples, and the server's mean, which the very
// code of a coordinator's closing makes. Knows neither goals nor tables.
import { availableParallelism } from "node:os";
import { initialWeights } from "@weft/models";
import { closeRound } from "@weft/training";
import { AnsweringProcess } from "../../support/child-processes.ts";
import { type ClientAnswer, type ClientOrder, type FederatedRun, specOf } from "./federated-run.ts";

/** Of the held-out images, looked at after every round; all of them are where these are within NEAR of the target. */
const GLANCE = 1_000;
const NEAR = 0.015;

export interface Federated {
  /** Rounds until the target was reached; null: not within the rounds allowed. */
  readonly rounds: number | null;
  readonly roundsRun: number;
  /** The best accuracy on all held-out images; null where none was near the target. */
  readonly best: number | null;
  /** Mean length of a contribution, and what it would be in f32. */
  readonly bytesUp: number;
  readonly denseBytes: number;
  readonly firstLoss: number;
  readonly lastLoss: number;
}

type Client = AnsweringProcess<ClientOrder, ClientAnswer>;
const startClient = (): Client => new AnsweringProcess(new URL("./client-process.ts", import.meta.url), "a client's process");

export async function federate(run: FederatedRun, dataFolder: string | null, say: (line: string) => void): Promise<Federated> {
  const processes = Array.from({ length: availableParallelism() }, startClient);
  try {
    const ready = await Promise.all(processes.map((process) => process.ask({ kind: "begin", run, dataFolder }, "ready")));
    return await rounds(run, processes, Math.min(...ready.map(({ heldOut }) => heldOut)), say);
  } finally {
    for (const process of processes) process.end();
  }
}

async function rounds(run: FederatedRun, processes: readonly Client[], heldOut: number, say: (line: string) => void): Promise<Federated> {
  const spec = specOf(run);
  let weights = initialWeights(run.model, run.seed);
  let optimizer: Uint8Array | null = null;
  let bytes = 0;
  let best: number | null = null;
  const losses: number[] = [];
  const outcome = (reached: number | null): Federated => ({
    rounds: reached,
    roundsRun: losses.length,
    best,
    bytesUp: bytes / (losses.length * run.perRound),
    denseBytes: 4 * weights.length,
    firstLoss: losses[0] ?? Number.NaN,
    lastLoss: losses.at(-1) ?? Number.NaN,
  });
  for (let round = 0; round < run.mostRounds; round++) {
    const contributions = await visits(processes, round * run.perRound, run.perRound, weights);
    for (const contribution of contributions) bytes += contribution.bytes.length;
    const closed = closeRound(
      { spec, weights, steps: round, optimizer, learningRate: 1 },
      contributions.map((contribution) => ({ ...contribution, codec: run.codec })),
    );
    if (!closed.ok) throw new Error(`round ${round + 1}: ${closed.message}`);
    ({ weights, optimizer } = closed.value);
    losses.push(closed.value.lossMean ?? Number.NaN);
    if (run.target === null) {
      say(`round ${round + 1}: loss ${losses.at(-1)?.toFixed(4)}`);
      continue;
    }
    const glance = await accuracy(processes, weights, Math.min(GLANCE, heldOut));
    const isNear = glance >= run.target - NEAR || heldOut <= GLANCE;
    const whole = isNear && heldOut > GLANCE ? await accuracy(processes, weights, heldOut) : glance;
    if (isNear) best = Math.max(best ?? 0, whole);
    if ((round + 1) % 10 === 0)
      say(`round ${round + 1}: loss ${losses.at(-1)?.toFixed(4)}, ${(100 * whole).toFixed(2)} % of ${isNear ? "all" : "some"}`);
    if (isNear && whole >= run.target) return outcome(round + 1);
  }
  return outcome(null);
}

const visits = (processes: readonly Client[], from: number, count: number, weights: Float32Array) =>
  Promise.all(spread(processes, count, (process, at) => process.ask({ kind: "visit", position: from + at, weights }, "contribution")));

/** Share of the first `images` held-out ones that are told right. */
async function accuracy(processes: readonly Client[], weights: Float32Array, images: number): Promise<number> {
  const pieces = processes.length;
  const answers = await Promise.all(
    spread(processes, pieces, (process, at) =>
      process.ask(
        { kind: "evaluate", weights, from: Math.floor((at * images) / pieces), to: Math.floor(((at + 1) * images) / pieces) },
        "score",
      ),
    ),
  );
  return answers.reduce((sum, { correct }) => sum + correct, 0) / images;
}

/** The parts in turn to one process after another; clients of a round are about equally large. */
const spread = <T>(processes: readonly Client[], count: number, ask: (process: Client, at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => ask(processes[at % processes.length] as Client, at));
