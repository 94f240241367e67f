// A run's own curve: training and held-out loss, or the share of held-out samples that a classifier gets right.
import type { RunDetail } from "@weft/protocol";
import { useMemo } from "react";
import { clock, count, loss, percent } from "../words/figures.ts";
import { type Line, LineChart } from "./line-chart.tsx";
import { type Across, evaluatedOnly, firstOf, joinCurves, lastOf, lossRange, smooth } from "./series.ts";

export type Measure = "loss" | "accuracy";
interface Props {
  readonly detail: Pick<RunDetail, "name" | "versionPoints" | "evaluations" | "checkpoints">;
  readonly measure: Measure;
  readonly across?: Across;
  /** 0 to 0.99 */
  readonly smoothing?: number;
  readonly heightPx: number;
}
const X_NAMES: Record<Across, string> = { version: "version", samples: "samples", time: "time" };

export function LossChart({ detail, measure, across = "version", smoothing = 0, heightPx }: Props) {
  const { versionPoints, evaluations, checkpoints } = detail;
  const curves = useMemo(() => {
    const all = joinCurves(versionPoints, evaluations, across);
    return measure === "accuracy" ? evaluatedOnly(all) : all;
  }, [versionPoints, evaluations, across, measure]);
  const smoothed = useMemo(() => smooth(curves.training, smoothing), [curves, smoothing]);
  const range = useMemo(
    () =>
      measure === "accuracy"
        ? accuracyRange([...curves.accuracy, ...curves.undoneAccuracy])
        : (lossRange([smoothed, curves.heldOut]) ?? ([0, 1] as const)),
    [measure, smoothed, curves],
  );
  const marks = useMemo(() => (across === "version" ? checkpoints.map((checkpoint) => checkpoint.version) : []), [checkpoints, across]);
  if (curves.x.length === 0)
    return <EmptyChart heightPx={heightPx} text="No version has been made yet; the first draws the first point." />;
  const format = measure === "accuracy" ? (value: number) => percent(value) : loss;
  if (measure === "accuracy" && lastOf(curves.accuracy) === null)
    return <EmptyChart heightPx={heightPx} text="Not evaluated yet; the first evaluation draws the first point." />;
  const undone = measure === "accuracy" ? curves.undoneAccuracy : curves.undone;
  const lines: readonly Line[] = [
    ...(lastOf(undone) === null ? [] : [{ name: "undone", column: undone, ink: "ink-3", dash: [4, 4], parted: true }]),
    ...(measure === "accuracy"
      ? [{ name: "held-out", column: curves.accuracy, ink: "series-3", widthPx: 2 }]
      : [
          ...(smoothing > 0 ? [{ name: "raw", column: curves.training, ink: "series-1-faint", widthPx: 1, faint: true }] : []),
          { name: "training", column: smoothed, ink: "series-1" },
          { name: "held-out", column: curves.heldOut, ink: "series-3", widthPx: 2 },
        ]),
  ];
  return (
    <LineChart
      label={storyOf(detail.name, measure, curves.x.length, lines, format)}
      x={curves.x}
      xName={X_NAMES[across]}
      formatX={across === "time" ? (x) => clock(x * 1000, false) : (x) => count(x)}
      lines={lines}
      format={format}
      wholeX={across !== "time"}
      {...(measure === "accuracy" ? { formatTick: (value: number) => String(Math.round(value * 100)) } : {})}
      range={range}
      heightPx={heightPx}
      rightPx={measure === "accuracy" ? 112 : 104}
      marks={marks}
    />
  );
}

function accuracyRange(column: readonly (number | null)[]): readonly [number, number] {
  const values = column.filter((value) => value !== null);
  const low = Math.min(...values, 1);
  return [values.length > 12 ? Math.max(0, Math.floor(Math.max(low, 0.5) * 10 - 1) / 10) : Math.max(0, low - 0.05), 1];
}

function storyOf(name: string, measure: Measure, points: number, lines: readonly Line[], format: (y: number) => string): string {
  const told = lines
    .filter((line) => line.faint !== true)
    .flatMap((line) => {
      const first = firstOf(line.column);
      const last = lastOf(line.column);
      return first === null || last === null ? [] : [`${line.name} from ${format(first)} to ${format(last)}`];
    });
  return `${measure === "loss" ? "Loss" : "Share of held-out samples read rightly"} of ${name} over ${count(points)} points: ${told.join("; ")}. Arrow keys move the crosshair.`;
}

export const EmptyChart = ({ heightPx, text }: { heightPx: number; text: string }) => (
  <div className="bare empty" style={{ minHeight: heightPx }}>
    <p className="small">{text}</p>
  </div>
);
