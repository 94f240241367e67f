// The rows of the bench: what each cell trains, beside which published or measured figure it stands, and what is wanted of it.
import type { Goal } from "../../bench.ts";
import type { LanguageRun, Setting } from "./language-run.ts";

/** One cell beside another of the same table. */
export interface Beside {
  readonly figure: string;
  /** Held-out loss over the other's, and the other's bytes over its own. */
  readonly loss: Goal | null;
  readonly bytes: Goal | null;
}

export interface Cell {
  readonly figure: string;
  readonly run: Omit<LanguageRun, "seed">;
  /** Of the held-out loss. */
  readonly goal: Goal | null;
  readonly anchor: string;
  readonly beside: readonly Beside[];
  /** What the reader of the figure should know. */
  readonly remark?: string;
}

const most = (value: number): Goal => ({ at: "most", value });
const least = (value: number): Goal => ({ at: "least", value });

/** Of 804,096 parameters. */
const SHAKESPEARE: Setting = {
  dataset: "tinyshakespeare",
  model: { kind: "gpt", vocabulary: 65, context: 64, layers: 4, heads: 4, width: 128, bias: false, gelu: "exact" },
  batch: 12,
  learningRate: 1e-3,
  weightDecay: 0.1,
  heldOut: 20 * 64,
  glance: 128,
};

/** A tenth of the steps. */
const WARM_UP = 0.1;

type Spread = Pick<LanguageRun, "setting" | "places" | "piece" | "lost" | "codec" | "versions" | "warmupVersions" | "way">;

/** So many batches one after another; two devices have half of each, so that the row takes half the time. */
const oneWorker = (setting: Setting, steps: number): Spread => ({
  setting,
  places: 2,
  piece: setting.batch / 2,
  lost: 0,
  codec: "f32",
  versions: steps,
  warmupVersions: Math.round(WARM_UP * steps),
  way: { kind: "gradient", behind: 0 },
});
const VOLUNTEERS = 4;
const gradients = (setting: Setting, steps: number): Spread => ({ ...oneWorker(setting, steps), places: VOLUNTEERS, piece: setting.batch });
/** `each` steps by every volunteer, `steps` at a time, in rounds that wait for all, or a version for each contribution. */
const localSteps = (setting: Setting, each: number, steps: number, isAsync = false): Spread => {
  const versions = isAsync ? (VOLUNTEERS * each) / (steps * BUFFER) : each / steps;
  return {
    ...gradients(setting, each),
    versions,
    // Without one where a round is longer than it.
    warmupVersions: Math.floor(WARM_UP * versions),
    way: {
      kind: "local-steps",
      steps,
      keepState: true,
      rounds: isAsync ? { kind: "async", buffer: BUFFER } : { kind: "all", leases: VOLUNTEERS },
      outer: isAsync ? "average" : "nesterov",
    },
  };
};
/** Contributions that make a version where nobody is waited for. */
const BUFFER = 2;
const CHURN = 0.3;

const losingState = (run: Spread): Spread => (run.way.kind === "gradient" ? run : { ...run, way: { ...run.way, keepState: false } });
const withNesterov = (run: Spread): Spread => (run.way.kind === "gradient" ? run : { ...run, way: { ...run.way, outer: "nesterov" } });

/** Within 2 % of what the reference reached. */
const near = (reference: number) => ({ goal: most(1.02 * reference), anchor: `reference ${reference}, goal: within 2 %`, beside: [] });

/** The names by which cells stand beside one another. */
const GRADIENT = "4 volunteers, gradient, f32";
const STEPS = "4 volunteers, H = 10 Nesterov, f32";
const LONG = "4 volunteers, H = 50 Nesterov, f32";
const ASYNC = "4 volunteers, async, 30 % churn, f32";
const ENTROPY = "entropy coding on";
const HALVES = "each batch computed in halves by two processes";

const SHORT_BUDGET = 200;
const FULL_BUDGET = 1_000;
const tens = localSteps(SHAKESPEARE, SHORT_BUDGET, 10);
const fifties = localSteps(SHAKESPEARE, SHORT_BUDGET, 50);
const asynchronous: Spread = { ...localSteps(SHAKESPEARE, SHORT_BUDGET, 10, true), lost: CHURN };

export const FULL: readonly Cell[] = [
  { figure: "one worker, 200 steps", run: oneWorker(SHAKESPEARE, 200), ...near(2.467), remark: HALVES },
  { figure: "one worker, 800 steps", run: oneWorker(SHAKESPEARE, 800), ...near(2.215), remark: HALVES },
  { figure: GRADIENT, run: gradients(SHAKESPEARE, SHORT_BUDGET), ...near(2.381) },
  {
    figure: "4 volunteers, gradient, ternary",
    run: { ...gradients(SHAKESPEARE, SHORT_BUDGET), codec: "ternary" },
    goal: null,
    anchor: "no reference at this budget",
    beside: [{ figure: GRADIENT, loss: null, bytes: null }],
    remark: ENTROPY,
  },
  {
    figure: "4 volunteers, gradient, topk with error feedback",
    run: { ...gradients(SHAKESPEARE, SHORT_BUDGET), codec: "topk" },
    goal: null,
    anchor: "no reference at this budget",
    beside: [{ figure: GRADIENT, loss: null, bytes: null }],
    remark: `${ENTROPY}; a volunteer's first leases are int4, as the coordinator has it`,
  },
  { figure: STEPS, run: tens, ...near(2.453) },
  {
    figure: "4 volunteers, H = 10 Nesterov, ternary",
    run: { ...tens, codec: "ternary" },
    goal: null,
    anchor: "reference 2.447",
    beside: [
      { figure: STEPS, loss: most(1.01), bytes: null },
      { figure: GRADIENT, loss: null, bytes: least(150) },
    ],
    remark: ENTROPY,
  },
  {
    figure: "4 volunteers, H = 10 Nesterov, ternary, optimiser state lost at every lease",
    run: { ...losingState(tens), codec: "ternary" },
    goal: null,
    anchor: "reference 2.404",
    beside: [
      { figure: STEPS, loss: most(1.01), bytes: null },
      { figure: GRADIENT, loss: null, bytes: least(150) },
    ],
    remark: ENTROPY,
  },
  { figure: LONG, run: fifties, ...near(2.472) },
  {
    figure: "4 volunteers, H = 50 Nesterov, ternary",
    run: { ...fifties, codec: "ternary" },
    goal: null,
    anchor: "no reference at this budget",
    beside: [
      { figure: LONG, loss: most(1.01), bytes: null },
      { figure: GRADIENT, loss: null, bytes: least(900) },
    ],
    remark: ENTROPY,
  },
  {
    figure: ASYNC,
    run: asynchronous,
    goal: null,
    anchor: "no reference",
    beside: [],
    remark: "H = 10, a version of two contributions, plain average",
  },
  {
    figure: "4 volunteers, H = 10 Nesterov, f32, 30 % of leases lost and given again",
    run: { ...tens, lost: CHURN },
    goal: null,
    anchor: "no reference at this budget",
    beside: [{ figure: STEPS, loss: most(1.01), bytes: null }],
  },
  {
    figure: "must be bad: async, 30 % churn, outer Nesterov",
    run: withNesterov(asynchronous),
    goal: null,
    anchor: "no reference",
    beside: [{ figure: ASYNC, loss: least(1.05), bytes: null }],
  },
  {
    figure: "must be bad: gradients 4 versions stale",
    run: { ...gradients(SHAKESPEARE, SHORT_BUDGET), way: { kind: "gradient", behind: 4 } },
    goal: null,
    anchor: "reference at the full budget, ternary: 2.706 beside 1.958",
    beside: [{ figure: GRADIENT, loss: least(1.05), bytes: null }],
    remark: "computed by volunteers who take old weights for new ones; every one is taken",
  },
  { figure: "full budget: one worker, 1,000 steps", run: oneWorker(SHAKESPEARE, FULL_BUDGET), ...near(2.114), remark: HALVES },
  { figure: `full budget: ${GRADIENT}`, run: gradients(SHAKESPEARE, FULL_BUDGET), ...near(1.868) },
  {
    figure: "full budget: 4 volunteers, H = 10 Nesterov, ternary, optimiser state lost at every lease",
    run: { ...losingState(localSteps(SHAKESPEARE, FULL_BUDGET, 10)), codec: "ternary" },
    goal: null,
    anchor: "reference 1.861",
    beside: [{ figure: `full budget: ${GRADIENT}`, loss: most(1), bytes: least(150) }],
    remark: ENTROPY,
  },
];

/** Of 15,488 parameters: seconds. In so few steps a model learns how often symbols come, which is about 3.1; all alike is 4.4. */
const AUSTEN: Setting = {
  dataset: "austen",
  model: { kind: "gpt", vocabulary: 81, context: 16, layers: 1, heads: 2, width: 32, bias: false, gelu: "exact" },
  batch: 8,
  learningRate: 2e-2,
  weightDecay: 0.1,
  heldOut: 256,
  glance: 32,
};
const SHORT_STEPS = 60;
const LEARNT = 3.3;
const fives = localSteps(AUSTEN, SHORT_STEPS, 5);
const shortAsync: Spread = { ...localSteps(AUSTEN, SHORT_STEPS, 5, true), lost: CHURN };
const OWN = "goal of the short form";

export const SHORT: readonly Cell[] = [
  { figure: "one worker, 60 steps", run: oneWorker(AUSTEN, SHORT_STEPS), goal: most(LEARNT), anchor: OWN, beside: [] },
  { figure: GRADIENT, run: gradients(AUSTEN, SHORT_STEPS), goal: most(LEARNT), anchor: OWN, beside: [] },
  {
    figure: "4 volunteers, gradient, topk with error feedback",
    run: { ...gradients(AUSTEN, SHORT_STEPS), codec: "topk" },
    goal: most(LEARNT),
    anchor: OWN,
    beside: [{ figure: GRADIENT, loss: null, bytes: least(40) }],
  },
  { figure: "4 volunteers, H = 5 Nesterov, f32", run: fives, goal: most(LEARNT), anchor: OWN, beside: [] },
  {
    figure: "4 volunteers, H = 5 Nesterov, ternary, optimiser state lost at every lease",
    run: { ...losingState(fives), codec: "ternary" },
    goal: null,
    anchor: OWN,
    beside: [
      { figure: "4 volunteers, H = 5 Nesterov, f32", loss: most(1.03), bytes: least(15) },
      { figure: GRADIENT, loss: null, bytes: least(80) },
    ],
  },
  {
    figure: "4 volunteers, H = 5 Nesterov, f32, 30 % of leases lost and given again",
    run: { ...fives, lost: CHURN },
    goal: null,
    anchor: OWN,
    beside: [{ figure: "4 volunteers, H = 5 Nesterov, f32", loss: most(1.02), bytes: null }],
  },
  { figure: ASYNC, run: shortAsync, goal: most(LEARNT), anchor: OWN, beside: [] },
  {
    figure: "must be bad: async, 30 % churn, outer Nesterov",
    run: withNesterov(shortAsync),
    goal: null,
    anchor: OWN,
    beside: [{ figure: ASYNC, loss: least(1.05), bytes: null }],
  },
  {
    figure: "must be bad: gradients 4 versions stale",
    run: { ...gradients(AUSTEN, SHORT_STEPS), way: { kind: "gradient", behind: 4 } },
    goal: null,
    anchor: OWN,
    beside: [{ figure: GRADIENT, loss: least(1.02), bytes: null }],
  },
];
