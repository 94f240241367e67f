// Bench `step`: what a training step costs, on our engine and on others, all by turns in one page: dispatches, submits, maps, bytes, time
// in JavaScript and in all; matrix products and read-backs alone; what a lost device costs.
import type { Page } from "playwright";
import type { Bench, BenchContext, Goal, Row } from "../bench.ts";
import type { EngineName, StepCase } from "../step/contender.ts";
import type { measureMatmul, measureReadBack, measureSteps, StepFigures, TimeFigures } from "../step/measure.ts";
import { openBenchPage } from "../support/bench-page.ts";
import { lossRows } from "./step-loss.ts";

interface Measures {
  readonly measureSteps: typeof measureSteps;
  readonly measureMatmul: typeof measureMatmul;
  readonly measureReadBack: typeof measureReadBack;
}
type InPage = typeof globalThis & { readonly weftMeasure: Measures };

const scriptOf = (name: string): URL => new URL(`../step/${name}.ts`, import.meta.url);
/** The application's own: they know how to start one another. */
const workerOf = (name: string): URL => new URL(`../../../../apps/web/src/worker/${name}.ts`, import.meta.url);
const PAGE = {
  script: scriptOf("measure"),
  frames: ["stock", "ours", "threads", "jax"].map(scriptOf),
  workers: ["engine-worker", "kernel-worker"].map(workerOf),
};

const gpt = (layers: number, width: number): StepCase["model"] => ({ kind: "gpt", vocabulary: 65, context: 64, layers, heads: 4, width });
const lstm = (context: number, hidden: number): StepCase["model"] => ({
  kind: "lstm",
  vocabulary: 81,
  context,
  embedding: 8,
  layers: 2,
  hidden,
});
const cnn = (first: number, hidden: number): StepCase["model"] => ({
  kind: "cnn",
  side: 28,
  channels: [first, 2 * first],
  kernel: 5,
  hidden,
  classes: 10,
});

interface Plan {
  readonly case: StepCase;
  readonly engines: readonly EngineName[];
  /** In the long form: the shorter the time in JavaScript, the more of what else the machine does is in it. */
  readonly turns: number;
  /** Most dispatches of ours: a number, or a share of stock's. */
  readonly dispatches: { readonly most: number } | { readonly share: number };
}
const THREADS: readonly EngineName[] = ["weft wasm, 1 thread", "weft wasm, all threads"];
const ON_WASM: readonly EngineName[] = ["stock wasm", "weft wasm", ...THREADS, "jax-js wasm"];
const ALL: readonly EngineName[] = ["stock webgpu", "weft webgpu", "jax-js webgpu", ...ON_WASM, "stock cpu"];
const COUNTED: readonly EngineName[] = ["stock webgpu", "weft webgpu"];

function plansOf(short: boolean): readonly Plan[] {
  const engines = short ? COUNTED : ALL;
  return [
    { case: { name: "gpt 2x64", rows: short ? 2 : 8, model: gpt(2, 64) }, engines, turns: 5, dispatches: { share: 1 / 5 } },
    ...(short
      ? []
      : [{ case: { name: "gpt 4x128", rows: 8, model: gpt(4, 128) }, engines, turns: 5, dispatches: { share: 1 / 5 } } satisfies Plan]),
    { case: { name: "cnn", rows: short ? 2 : 8, model: short ? cnn(8, 64) : cnn(16, 128) }, engines, turns: 15, dispatches: { most: 24 } },
    {
      case: { name: "lstm, unroll 8", rows: short ? 2 : 8, model: lstm(8, short ? 32 : 128) },
      engines,
      turns: 5,
      dispatches: { share: 1 / 5 },
    },
    {
      case: { name: "lstm, unroll 80", rows: short ? 1 : 8, model: lstm(80, short ? 32 : 128) },
      engines: short ? ["weft webgpu"] : ["weft webgpu", "weft wasm", ...THREADS, "jax-js webgpu", "jax-js wasm"],
      turns: 5,
      dispatches: { most: 800 },
    },
  ];
}

function whyNot(engine: EngineName): string {
  if (engine === "stock wasm") return "it has no gradient of a convolution's filter";
  if (engine.startsWith("jax-js")) return "it has no loop: so long a window would be compiled place by place";
  return "it does not train this model";
}

const most = (value: number): Goal => ({ at: "most", value });
const least = (value: number): Goal => ({ at: "least", value });

function rowsOf({ case: given, dispatches }: Plan, figures: readonly StepFigures[], short: boolean): readonly Row[] {
  const { name, rows, model } = given;
  const of = (engine: EngineName): StepFigures["figures"] => figures.find((each) => each.engine === engine)?.figures ?? null;
  const [stock, ours] = [of("stock webgpu"), of("weft webgpu")];
  const row = (figure: string, value: number | null, unit: string, goal: Goal | null, anchor = "", note?: string): Row => ({
    figure: `${name}: ${figure}`,
    value,
    unit,
    goal,
    anchor,
    ...(note === undefined ? {} : { note }),
  });
  const samples = model.kind === "cnn" ? rows : rows * model.context;
  const unit = model.kind === "cnn" ? "images/s" : "tokens/s";
  const counts = figures.flatMap(({ engine, figures: found }) => {
    if (found === null) return short ? [] : [row(engine, null, "ms a step", null, "", whyNot(engine))];
    const onGpu = engine.endsWith("webgpu");
    return [
      ...(onGpu
        ? [
            row(`${engine}: dispatches`, found.dispatches, "a step", null),
            row(`${engine}: submits`, found.submits, "a step", null),
            row(`${engine}: maps`, found.maps, "a step", null),
          ]
        : []),
      row(
        `${engine}: bytes held`,
        found.heldBytes === null ? null : found.heldBytes / 2 ** 20,
        "MiB",
        null,
        "",
        found.heldBytes === null ? "it does not say" : undefined,
      ),
      ...(short
        ? []
        : [
            ...(onGpu ? [row(`${engine}: JavaScript`, found.scriptMs, "ms a step", null, "until the promise is given")] : []),
            row(`${engine}: total`, found.totalMs, "ms a step", null),
            row(`${engine}: pace`, (1000 * samples) / found.totalMs, unit, null),
          ]),
    ];
  });
  if (ours === null) return counts;
  const bar = "share" in dispatches ? (stock === null ? Number.NaN : Math.floor(dispatches.share * stock.dispatches)) : dispatches.most;
  const judged = [
    row(
      "weft webgpu: dispatches against the bar",
      ours.dispatches,
      "a step",
      most(bar),
      "share" in dispatches ? "a fifth of stock" : "goal of the issue",
    ),
    row("weft webgpu: maps against the bar", ours.maps, "a step", most(1), "goal of the issue"),
    row("weft webgpu: dispatches a submit", ours.dispatches / Math.max(1, ours.submits), "", most(16), "goal of the issue"),
    row(
      "weft webgpu: bytes gained by the turns",
      (ours.heldBytesLater ?? Number.NaN) - (ours.heldBytes ?? Number.NaN),
      "bytes",
      most(0),
      "nothing may grow",
    ),
    row("weft webgpu: loss falls", (ours.losses.at(-1) ?? Number.NaN) - (ours.losses[0] ?? Number.NaN), "nats", most(0), "the step trains"),
  ];
  if (short) return [...counts, ...judged];
  const ratio = (a: StepFigures["figures"], b: StepFigures["figures"], key: "scriptMs" | "totalMs"): number | null =>
    a === null || b === null ? null : a[key] / b[key];
  return [
    ...counts,
    ...judged,
    ...(stock === null
      ? []
      : [
          row("JavaScript, stock webgpu over weft webgpu", ratio(stock, ours, "scriptMs"), "times", least(10), "stock in the same run"),
          row(
            "total, stock webgpu over weft webgpu",
            ratio(stock, ours, "totalMs"),
            "times",
            null,
            "stock in the same run",
            "reported alone on a software adapter",
          ),
        ]),
    ...(of("stock wasm") === null
      ? []
      : [
          row(
            "total, stock wasm over weft wasm",
            ratio(of("stock wasm"), of("weft wasm"), "totalMs"),
            "times",
            least(3),
            "stock in the same run",
          ),
        ]),
    row(
      "total, 1 thread over all threads of weft wasm",
      ratio(of("weft wasm, 1 thread"), of("weft wasm, all threads"), "totalMs"),
      "times",
      null,
      "in the same run",
      "as many threads as processors, at most 8, in the application's workers",
    ),
    ...(of("jax-js webgpu") === null
      ? []
      : [
          row(
            "total, jax-js webgpu over weft webgpu",
            ratio(of("jax-js webgpu"), ours, "totalMs"),
            "times",
            null,
            "jax-js in the same run",
          ),
        ]),
    ...(of("jax-js wasm") === null
      ? []
      : [
          row(
            "total, jax-js wasm over weft wasm",
            ratio(of("jax-js wasm"), of("weft wasm"), "totalMs"),
            "times",
            null,
            "jax-js in the same run",
            "the mark to reach next",
          ),
        ]),
  ];
}

const timeOf = (figures: readonly TimeFigures[], engine: EngineName): number =>
  figures.find((each) => each.engine === engine)?.ms ?? Number.NaN;

const LAYOUTS = [
  { name: "NN", a: false, b: false, goal: 3 },
  { name: "TN", a: true, b: false, goal: 3 },
  { name: "NT", a: false, b: true, goal: 4 },
] as const;

async function matmuls(page: Page, peakTflops: number | null, say: BenchContext["say"]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const n of [256, 512, 1024])
    for (const { name, a, b, goal } of LAYOUTS) {
      say(`matmul ${n} ${name} ...`);
      // Short products have more of what else the machine does in them.
      const turns = n < 1024 ? 11 : 5;
      const figures = await page.evaluate(
        ([size, ta, tb, count]) => (globalThis as InPage).weftMeasure.measureMatmul(size, ta, tb, count),
        [n, a, b, turns] as const,
      );
      const [stock, ours] = [timeOf(figures, "stock webgpu"), timeOf(figures, "weft webgpu")];
      const gflops = (2 * n ** 3) / ours / 1e6;
      rows.push(
        {
          figure: `matmul ${n} ${name}: stock over weft`,
          value: stock / ours,
          unit: "times",
          goal: least(goal),
          anchor: `stock ${stock.toPrecision(3)} ms, in the same run`,
        },
        { figure: `matmul ${n} ${name}: weft`, value: gflops, unit: "GFLOP/s", goal: null, anchor: `${ours.toPrecision(3)} ms` },
      );
      if (peakTflops !== null)
        rows.push({
          figure: `matmul ${n} ${name}: share of the peak`,
          value: gflops / 1000 / peakTflops,
          unit: "",
          goal: n === 1024 ? least(0.35) : null,
          anchor: `${peakTflops} TFLOP/s`,
        });
    }
  return rows;
}

async function readBacks(page: Page, say: BenchContext["say"]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const tensors of [50, 256]) {
    say(`read-back of ${tensors} tensors ...`);
    const figures = await page.evaluate((count) => (globalThis as InPage).weftMeasure.measureReadBack(count, 4096, 121), tensors);
    const [stock, ours] = [timeOf(figures, "stock webgpu"), timeOf(figures, "weft webgpu")];
    rows.push({
      figure: `read-back of ${tensors} tensors: Promise.all(data()) over weft`,
      value: stock / ours,
      unit: "times",
      goal: least(4),
      anchor: `${stock.toPrecision(3)} ms against ${ours.toPrecision(3)} ms`,
    });
  }
  return rows;
}

async function steps(page: Page, plans: readonly Plan[], short: boolean, say: BenchContext["say"]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const plan of plans) {
    say(`${plan.case.name} ...`);
    const options = { engines: plan.engines, warm: 2, turns: short ? 2 : plan.turns };
    const figures = await page.evaluate(([given, how]) => (globalThis as InPage).weftMeasure.measureSteps(given, how), [
      plan.case,
      options,
    ] as const);
    rows.push(...rowsOf(plan, figures, short));
  }
  return rows;
}

/** What `npm test` runs too: counts alone. */
export async function stepRows({
  short,
  say,
  peakTflops,
  only,
  hardware,
}: Omit<BenchContext, "seed"> & { readonly hardware: boolean }): Promise<readonly Row[]> {
  const wanted = (part: string): boolean => only === null || part.includes(only);
  const inPage = async (measure: (page: Page) => Promise<readonly Row[]>): Promise<readonly Row[]> => {
    const { page, close } = await openBenchPage({ ...PAGE, hardware });
    try {
      return await measure(page);
    } finally {
      await close();
    }
  };
  const plans = plansOf(short).filter((each) => wanted(each.case.name));
  const rows: Row[] = [];
  if (plans.length > 0) rows.push(...(await inPage((page) => steps(page, plans, short, say))));
  if (!short && wanted("read-back")) rows.push(...(await inPage((page) => readBacks(page, say))));
  // A page of their own: the tuner is asked for their shapes alone.
  if (!short && wanted("matmul")) rows.push(...(await inPage((page) => matmuls(page, peakTflops, say))));
  return rows;
}

export const stepBench: Bench = {
  name: "step",
  about: "what a training step costs: our engine, TensorFlow.js and jax-js by turns in one page",
  async run(context) {
    const hardware = context.peakTflops !== null;
    const rows = await stepRows({ ...context, hardware });
    if (context.short || (context.only !== null && !"lost devices".includes(context.only))) return rows;
    context.say("lost devices ...");
    return [...rows, ...(await lossRows(hardware))];
  },
};
