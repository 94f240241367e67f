// Bench `rounds`: the tables of federated averaging [McMahan et al., 1602.05629] with this project's engine, partitions, codecs and closing of
// rounds. Real MNIST and Shakespeare; the short form takes the digits that come with Weft, and a little play.
import type { LstmSpec, ModelSpec } from "@weft/protocol";
import type { Bench, BenchContext, Goal, Row } from "../../bench.ts";
import { KeptResults } from "../../support/kept-results.ts";
import type { FederatedRun } from "./federated-run.ts";
import { type Federated, federate } from "./federation.ts";
import { lstmGradients } from "./lstm-gradients.ts";

/** Folders whose code decides how many rounds are needed. */
const DECIDING = [
  "packages/bench/src/benches/rounds",
  "packages/bench/src/support",
  "packages/datasets",
  "packages/engine",
  "packages/models",
].concat(["packages/tensors", "packages/training", "packages/wasm"]);

interface Cell {
  readonly figure: string;
  readonly run: Omit<FederatedRun, "seed">;
  readonly seeds: readonly number[];
  readonly goal: Goal | null;
  /** What the paper, and a reference made for this project, needed. */
  readonly anchor: string;
}

const TWO_LAYERS: ModelSpec = { kind: "mlp", inputs: 784, hidden: [200, 200], classes: 10 };
const CONVOLUTIONS: ModelSpec = {
  kind: "cnn",
  height: 28,
  width: 28,
  inChannels: 1,
  channels: [32, 64],
  kernel: 5,
  hidden: 512,
  classes: 10,
};
/** The paper's without its peepholes, over this text's 65 symbols: 815,945 parameters (822,570 over the 90 of all plays) where it had 866,578. */
const RECURRENT: LstmSpec = { kind: "lstm", vocabulary: 65, context: 80, embedding: 8, layers: 2, hidden: 256 };
const MNIST = { dataset: "mnist", clients: 100, perRound: 10, partition: { kind: "iid" }, codec: "f32" } as const;
const TO_97 = { ...MNIST, model: TWO_LAYERS, target: 0.97 } as const;
const SEEDS = [0, 1, 2] as const;
const most = (value: number): Goal => ({ at: "most", value });
/** The loss of untrained weights falls by far more than two per cent in a round, whichever clients are visited. */
const FALLING = most(0.98);

const E1 = { ...TO_97, epochs: 1, batch: 10, learningRate: 0.1, mostRounds: 100 } as const;
const FULL: readonly Cell[] = [
  { figure: "2NN to 97 %, E = 1, B = 10", run: E1, seeds: SEEDS, goal: most(47), anchor: "paper 87 to 92, reference 44, 47, 47" },
  {
    figure: "2NN to 97 %, E = 1, B = 10, ternary",
    run: { ...E1, codec: "ternary" },
    seeds: SEEDS,
    goal: null,
    anchor: "reference 47, 43, 46",
  },
  {
    figure: "2NN to 97 %, E = 10, B = 10",
    run: { ...TO_97, epochs: 10, batch: 10, learningRate: 0.1, mostRounds: 60 },
    seeds: [0],
    goal: most(26),
    anchor: "paper 34, reference 22",
  },
  {
    figure: "2NN to 97 %, FedSGD",
    run: { ...TO_97, epochs: 1, batch: 600, learningRate: 0.5, mostRounds: 800 },
    seeds: [0],
    goal: most(600),
    anchor: "paper 1,468, reference 431",
  },
  {
    figure: "2NN to 97 %, two labels a client, E = 1, B = 10",
    run: { ...E1, partition: { kind: "label-shards", shardsPerClient: 2 }, learningRate: 0.05, mostRounds: 600 },
    seeds: [0],
    goal: most(450),
    anchor: "reference 376",
  },
  {
    figure: "CNN to 99 %, E = 1, B = 10",
    run: { ...MNIST, model: CONVOLUTIONS, target: 0.99, epochs: 1, batch: 10, learningRate: 0.1, mostRounds: 60 },
    seeds: [0],
    goal: most(45),
    anchor: "paper 34",
  },
  {
    figure: "LSTM by role, E = 5, B = 10, two rounds: loss of the second over the first",
    run: {
      dataset: "tinyshakespeare-by-role",
      model: RECURRENT,
      clients: 244,
      perRound: 24,
      partition: { kind: "role" },
      codec: "f32",
      epochs: 5,
      batch: 10,
      learningRate: 1.47,
      target: null,
      mostRounds: 2,
    },
    seeds: [0],
    goal: FALLING,
    anchor: "paper to 54 %: 41 rounds by role, 192 evenly, FedSGD 2,488",
  },
];

const DIGITS: Omit<FederatedRun, "seed"> = {
  dataset: "digits",
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  clients: 20,
  perRound: 10,
  epochs: 1,
  batch: 10,
  learningRate: 0.1,
  partition: { kind: "iid" },
  codec: "f32",
  target: 0.93,
  mostRounds: 60,
};
const SHORT: readonly Cell[] = [
  { figure: "digits to 93 %, E = 1, B = 10", run: DIGITS, seeds: SEEDS, goal: most(40), anchor: "goal of the short form" },
  {
    figure: "digits to 93 %, E = 1, B = 10, ternary",
    run: { ...DIGITS, codec: "ternary" },
    seeds: SEEDS,
    goal: null,
    anchor: "",
  },
  {
    figure: "digits to 90 %, two shards of labels a client, E = 1, B = 10",
    run: { ...DIGITS, partition: { kind: "label-shards", shardsPerClient: 2 }, learningRate: 0.05, target: 0.9, mostRounds: 150 },
    seeds: [0],
    goal: most(120),
    anchor: "goal of the short form",
  },
  {
    figure: "small LSTM by role, E = 5, B = 4, two rounds: loss of the second over the first",
    run: {
      dataset: "little-play",
      model: { ...RECURRENT, vocabulary: 39, context: 16, hidden: 16 },
      clients: 3,
      perRound: 3,
      partition: { kind: "role" },
      codec: "f32",
      epochs: 5,
      batch: 4,
      learningRate: 1.47,
      target: null,
      mostRounds: 2,
    },
    seeds: [0],
    goal: FALLING,
    anchor: "goal of the short form",
  },
];

/** Sets that do not come with Weft, and what their files are called. */
const DOWNLOADED: Partial<Record<FederatedRun["dataset"], string>> = { mnist: "MNIST", "tinyshakespeare-by-role": "tinyshakespeare" };

export const roundsBench: Bench = {
  name: "rounds",
  about:
    "federated averaging: rounds until a model is as good as the paper's (the full form needs MNIST and tinyshakespeare: --data FOLDER)",
  async run(context) {
    const kept = new KeptResults("rounds", DECIDING);
    const cells = (context.short ? SHORT : FULL).filter(({ figure }) => context.only === null || figure.includes(context.only));
    const hasGradients = context.only === null || GRADIENTS.includes(context.only);
    if (cells.length === 0 && !hasGradients) throw new Error(`rounds has no part ${context.only}`);
    const rows: Row[] = hasGradients ? [await gradientsRow(context)] : [];
    const measured = new Map<string, readonly Federated[]>();
    for (const cell of cells) {
      const results = await resultsOf(cell, kept, context);
      if (typeof results !== "string") measured.set(cell.figure, results);
      rows.push(rowOf(cell, results));
    }
    return [...rows, ...cells.flatMap((cell) => comparison(cell, measured, context.short))];
  },
};

const GRADIENTS = "LSTM gradients: difference from a reference in f64, over its length";
/** Of f32 sums over a window of 80 places and back, in millionths. */
const F32 = 10;
async function gradientsRow({ short, say }: BenchContext): Promise<Row> {
  say(`${GRADIENTS} ...`);
  const model: LstmSpec = short ? { ...RECURRENT, context: 20, hidden: 32 } : RECURRENT;
  const { difference, parameters, windows } = await lstmGradients(model);
  const note = `${parameters.toLocaleString("en")} parameters, ${windows} windows of ${model.context}`;
  return {
    figure: GRADIENTS,
    value: 1e6 * difference,
    unit: "millionths",
    goal: most(F32),
    anchor: "plain loops after PyTorch's definitions",
    note,
  };
}

/** Of every seed; or why there is none. */
async function resultsOf(cell: Cell, kept: KeptResults, { say, data, short }: BenchContext): Promise<readonly Federated[] | string> {
  const results: Federated[] = [];
  for (const seed of cell.seeds) {
    const run: FederatedRun = { ...cell.run, seed };
    const wanted = DOWNLOADED[run.dataset];
    if (wanted !== undefined && data === null) return `wants the folder of ${wanted}'s files: --data FOLDER`;
    say(`${cell.figure}, seed ${seed} ...`);
    // The short form is a test, and is run anew each time.
    const { result, isKept } = short
      ? { result: await federate(run, data, say), isKept: false }
      : await kept.of(run, () => federate(run, data, say));
    const arrived = run.target === null ? result.roundsRun : (result.rounds ?? `not in ${result.roundsRun}`);
    say(`${cell.figure}, seed ${seed}: ${arrived} rounds${isKept ? " (measured before)" : ""}`);
    results.push(result);
  }
  return results;
}

/** A run that never arrived counts as more rounds than any that did. */
const roundsOf = ({ rounds }: Federated): number => rounds ?? Number.POSITIVE_INFINITY;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
const medianRounds = (results: readonly Federated[]): number => median(results.map(roundsOf));

function rowOf({ figure, run, seeds, goal, anchor }: Cell, results: readonly Federated[] | string): Row {
  const row = { figure, unit: run.target === null ? "times" : "rounds", goal, anchor };
  if (typeof results === "string") return { ...row, value: null, note: results };
  if (run.target === null) {
    const note = `seeds ${seeds.join(", ")}: ${results.map(({ firstLoss, lastLoss }) => `${firstLoss.toFixed(3)} to ${lastLoss.toFixed(3)}`).join(", ")}`;
    return { ...row, value: median(results.map(({ firstLoss, lastLoss }) => lastLoss / firstLoss)), note };
  }
  const all = results.map(
    ({ rounds, roundsRun, best }) => rounds ?? `not in ${roundsRun} (best ${best === null ? "far" : best.toFixed(4)})`,
  );
  const value = medianRounds(results);
  const note = `${seeds.length > 1 ? "median; " : ""}seeds ${seeds.join(", ")}: ${all.join(", ")}`;
  return { ...row, value: Number.isFinite(value) ? value : null, note };
}

/** A codec's cell beside the same cell in f32. */
function comparison({ figure, run, seeds }: Cell, measured: ReadonlyMap<string, readonly Federated[]>, short: boolean): Row[] {
  if (run.codec === "f32") return [];
  const own = measured.get(figure);
  const dense = measured.get(figure.replace(`, ${run.codec}`, ""));
  const anchor = short ? "goal of the short form" : "goal of the issue";
  const note = `medians of seeds ${seeds.join(", ")}`;
  const ratio = own === undefined || dense === undefined ? Number.NaN : medianRounds(own) / medianRounds(dense);
  const fewer = own === undefined ? Number.NaN : 1 / median(own.map(({ bytesUp, denseBytes }) => bytesUp / denseBytes));
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return [
    // Of a few rounds one is many per cent.
    { figure: `${figure}: rounds over those of f32`, value: finite(ratio), unit: "times", goal: most(short ? 1.5 : 1.1), anchor, note },
    {
      figure: `${figure}: bytes up, f32 over it`,
      value: finite(fewer),
      unit: "times",
      goal: { at: "least", value: short ? 14 : 18 },
      anchor,
      note,
    },
  ];
}
