// Bench `language`: a small GPT trained by one worker and by volunteers in every mode and codec: held-out loss beside a reference's, and what
// a volunteer uploads. Tiny Shakespeare; the short form takes the novels that come with Weft, and a smaller model.
import type { Bench, BenchContext, Goal, Row } from "../../bench.ts";
import { KeptResults } from "../../support/kept-results.ts";
import { type Beside, type Cell, FULL, SHORT } from "./cells.ts";
import { type LanguageRun, specOf } from "./language-run.ts";
import { type Device, startDevice, type Trained, train } from "./training-run.ts";

/** Folders whose code decides what is learnt. */
const DECIDING = ["benches/language", "support"]
  .map((folder) => `packages/bench/src/${folder}`)
  .concat(["datasets", "engine", "models", "protocol", "tensors", "training", "wasm"].map((name) => `packages/${name}`));

export const languageBench: Bench = {
  name: "language",
  about: "a GPT on text: held-out loss and bytes up of every mode and codec (the full form needs Tiny Shakespeare: --data FOLDER)",
  async run(context) {
    const cells = (context.short ? SHORT : FULL).filter(({ figure }) => context.only === null || figure.includes(context.only));
    if (cells.length === 0) throw new Error(`language has no part ${context.only}`);
    const kept = new KeptResults("language", DECIDING);
    const devices: Device[] = [];
    const measured = new Map<string, Trained>();
    const rows: Row[] = [];
    try {
      for (const cell of cells) {
        const result = await resultOf(cell, devices, kept, context);
        if (typeof result !== "string") measured.set(cell.figure, result);
        rows.push(...rowsOf(cell, result));
      }
    } finally {
      for (const device of devices) device.end();
    }
    const goals = context.short ? "goal of the short form" : "goal of the issue";
    return [...rows, ...cells.flatMap((cell) => cell.beside.flatMap((beside) => comparison(cell, beside, measured, goals)))];
  },
};

/** Or why there is none. */
async function resultOf(
  cell: Cell,
  devices: Device[],
  kept: KeptResults,
  { seed, short, data, say }: BenchContext,
): Promise<Trained | string> {
  const run: LanguageRun = { ...cell.run, seed };
  if (run.setting.dataset === "tinyshakespeare" && data === null) return "wants the folder of Tiny Shakespeare's file: --data FOLDER";
  say(`${cell.figure} ...`);
  const measure = (): Promise<Trained> => {
    while (devices.length < run.places) devices.push(startDevice());
    return train(run, devices, data, say);
  };
  const beganMs = Date.now();
  // The short form is a test, and is run anew each time.
  const { result, isKept } = short ? { result: await measure(), isKept: false } : await kept.of(run, measure);
  say(
    `${cell.figure}: ${result.heldOut?.toFixed(4) ?? "diverged"} ${isKept ? "(measured before)" : `(${((Date.now() - beganMs) / 1000).toFixed(0)} s)`}`,
  );
  return result;
}

function rowsOf({ figure, run, goal, anchor, remark }: Cell, result: Trained | string): Row[] {
  const loss = { figure: `${figure}: held-out loss`, unit: "nats a symbol", goal, anchor };
  const bytes = { figure: `${figure}: bytes up of a volunteer`, unit: "bytes", goal: null, anchor: "payloads as they travel" };
  if (typeof result === "string")
    return [
      { ...loss, value: null, note: result },
      { ...bytes, value: null, note: result },
    ];
  const notes = [
    ...(result.diverged ? [`diverged at version ${result.versions}`] : []),
    `${result.versions} versions of ${result.windows.toLocaleString("en")} windows in all`,
    ...(result.lost > 0 ? [`${result.lost} leases lost on the way`] : []),
    ...(result.meanStaleness > 0 ? [`staleness ${result.meanStaleness.toFixed(2)} in the mean`] : []),
    ...(remark === undefined ? [] : [remark]),
    ...refusalOf(run),
  ];
  const codecs = Object.entries(result.codecs).map(([name, count]) => `${count} ${name}`);
  return [
    { ...loss, value: result.heldOut, note: notes.join("; ") },
    { ...bytes, value: Math.round(result.bytesUp / run.places), note: `${run.places} at a time; ${codecs.join(", ")}` },
  ];
}

/** A coordinator does not take the runs that must come out bad. */
function refusalOf(run: Omit<LanguageRun, "seed">): string[] {
  const { refusal } = specOf({ ...run, seed: 0 });
  return refusal === null ? [] : [`put together by hand, since a coordinator refuses it: "${refusal.split(";")[0]}"`];
}

function comparison({ figure }: Cell, beside: Beside, measured: ReadonlyMap<string, Trained>, anchor: string): Row[] {
  const own = measured.get(figure);
  const other = measured.get(beside.figure);
  const why = other === undefined ? `wants the row "${beside.figure}" too` : own === undefined ? "wants its own row" : null;
  const row = (what: string, goal: Goal | null, of: (own: Trained, other: Trained) => number | null): Row => {
    const value = own === undefined || other === undefined ? null : of(own, other);
    return {
      figure: `${figure}: ${what}`,
      value,
      unit: "times",
      goal,
      anchor: goal === null ? "" : anchor,
      ...(why === null ? {} : { note: why }),
    };
  };
  return [
    ...(beside.loss === null && beside.bytes !== null
      ? []
      : [
          row(`loss over that of ${beside.figure}`, beside.loss, (mine, its) =>
            // What has diverged is as bad as can be.
            its.heldOut === null ? null : (mine.heldOut ?? Number.POSITIVE_INFINITY) / its.heldOut,
          ),
        ]),
    ...(beside.loss !== null && beside.bytes === null
      ? []
      : [row(`bytes up, ${beside.figure} over it`, beside.bytes, (mine, its) => its.bytesUp / mine.bytesUp)]),
  ];
}
