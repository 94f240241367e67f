// Curves over a common x: uPlot with the sheet's colours, names at the lines' ends, a crosshair for pointer and arrow keys, a table behind.
// Knows nothing of what is measured.
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "../styles/charts.css";
import { onThemeChange, token } from "../app/theme.ts";
import { type Column, tableRows } from "./series.ts";

export interface Line {
  readonly name: string;
  readonly column: Column;
  /** A design token. */
  readonly ink: string;
  readonly dash?: readonly number[];
  readonly widthPx?: number;
  /** Drawn behind the others; without name, figure or table column. */
  readonly faint?: boolean;
  /** Several pieces: where values are missing, the line is too. */
  readonly parted?: boolean;
}
export interface LineChartProps {
  /** The story of the curves in one sentence. */
  readonly label: string;
  readonly x: readonly number[];
  readonly xName: string;
  readonly formatX: (x: number) => string;
  readonly lines: readonly Line[];
  readonly format: (y: number) => string;
  /** The axis, where a shorter form than `format` will do. */
  readonly formatTick?: (y: number) => string;
  /** Only whole numbers on the x axis: versions, samples. */
  readonly wholeX?: boolean;
  readonly range: readonly [low: number, high: number];
  readonly heightPx: number;
  /** Room for the names at the lines' ends. */
  readonly rightPx?: number;
  /** x values that get a strong tick: checkpoints. */
  readonly marks?: readonly number[];
}

const tick = (value: number): string => String(Number(value.toPrecision(4)));
/** 1, 2, 5, 10 ... 5e11: steps of a whole-numbered axis. */
const WHOLE = Array.from({ length: 36 }, (_, index) => [1, 2, 5][index % 3] as number).map(
  (step, index) => step * 10 ** Math.floor(index / 3),
);

const px = (value: number): number => value * devicePixelRatio;
const lastIndex = (column: Column): number => column.findLastIndex((value) => value !== null);

/** Names at the ends of the lines, pushed apart where they would overlap. */
function drawEnds(plot: uPlot, { lines, format }: LineChartProps): void {
  const { ctx, bbox } = plot;
  const ends = lines
    .filter((line) => line.faint !== true)
    .flatMap((line) => {
      const index = lastIndex(line.column);
      const value = line.column[index];
      const at = plot.data[0]?.[index];
      if (value === null || value === undefined || at === undefined) return [];
      const y = Math.min(bbox.top + bbox.height, Math.max(bbox.top, plot.valToPos(value, "y", true)));
      return [{ line, value, x: plot.valToPos(at, "x", true), y }];
    })
    .sort((a, b) => a.y - b.y);
  let free = Number.NEGATIVE_INFINITY;
  ctx.save();
  ctx.font = `600 ${px(12)}px ${token("sans")}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { line, value, x, y } of ends) {
    ctx.fillStyle = token(line.ink);
    ctx.beginPath();
    ctx.arc(x, y, px(2.5), 0, 2 * Math.PI);
    ctx.fill();
    const textY = Math.max(y, free);
    free = textY + px(15);
    ctx.fillStyle = token("ink");
    ctx.fillText(`${line.name} ${format(value)}`.trim(), bbox.left + bbox.width + px(8), textY);
  }
  ctx.restore();
}

function drawMarks(plot: uPlot, marks: readonly number[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = token("ink");
  ctx.lineWidth = px(1);
  ctx.beginPath();
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.moveTo(x, bbox.top + bbox.height - px(5));
    ctx.lineTo(x, bbox.top + bbox.height);
  }
  ctx.stroke();
  ctx.restore();
}

function optionsOf(props: () => LineChartProps, widthPx: number, onCursor: (index: number | null) => void): uPlot.Options {
  const { lines, heightPx, rightPx = 108 } = props();
  const font = `12px ${token("sans")}`;
  return {
    width: widthPx,
    height: heightPx,
    padding: [8, rightPx, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6, width: 1.75, fill: () => token("paper") } },
    scales: { x: { time: false }, y: { range: () => [...props().range] as [number, number] } },
    axes: [
      {
        stroke: () => token("ink-3"),
        font,
        size: 26,
        gap: 4,
        grid: { show: false },
        ticks: { stroke: () => token("line-firm"), size: 4, width: 1 },
        border: { show: true, stroke: () => token("line-firm"), width: 1 },
        space: 70,
        ...(props().wholeX === true ? { incrs: WHOLE } : {}),
        values: (_, splits) => splits.map((split) => props().formatX(split)),
      },
      {
        stroke: () => token("ink-3"),
        font,
        size: 44,
        gap: 8,
        grid: { stroke: () => token("line"), width: 1 },
        ticks: { show: false },
        values: (_, splits) => splits.map((split) => (props().formatTick ?? tick)(split)),
      },
    ],
    series: [
      {},
      ...lines.map(
        (line): uPlot.Series => ({
          label: line.name,
          stroke: () => token(line.ink),
          width: line.widthPx ?? 1.75,
          spanGaps: line.parted !== true,
          points: { show: line.column.filter((value) => value !== null).length === 1 },
          ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
        }),
      ),
    ],
    hooks: {
      draw: [
        (plot) => {
          drawMarks(plot, props().marks ?? []);
          drawEnds(plot, props());
        },
      ],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
}

const dataOf = ({ x, lines }: LineChartProps): uPlot.AlignedData => [[...x], ...lines.map((line) => [...line.column])];

export function LineChart(props: LineChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const [index, setIndex] = useState<number | null>(null);
  // The lines' names and dyes decide the structure; new values of the same lines are only set.
  const structure = props.lines.map((line) => `${line.name}:${line.ink}:${line.parted === true}`).join("|");

  // biome-ignore lint/correctness/useExhaustiveDependencies: props are read through the ref; only another structure makes another plot
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(
      optionsOf(() => newest.current, Math.max(1, element.clientWidth), setIndex),
      dataOf(newest.current),
      element,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: newest.current.heightPx });
    });
    resize.observe(element);
    const unfollow = onThemeChange(() => made.redraw(true, true));
    return () => {
      resize.disconnect();
      unfollow();
      made.destroy();
      plot.current = null;
    };
  }, [structure]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the values themselves are what is watched
  useEffect(() => {
    plot.current?.setData(dataOf(newest.current));
  }, [props.x, ...props.lines.map((line) => line.column), props.range[0], props.range[1]]);

  const named = props.lines.filter((line) => line.faint !== true);
  const onKeyDown = (event: KeyboardEvent) => {
    const by = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    const made = plot.current;
    if (by === 0 || made === null || props.x.length === 0) return;
    event.preventDefault();
    const stride = Math.max(1, Math.round(props.x.length / 40));
    const next = Math.min(props.x.length - 1, Math.max(0, (index ?? props.x.length - 1) + by * stride));
    made.setCursor({ left: made.valToPos(props.x[next] ?? 0, "x"), top: 0 });
    setIndex(next);
  };
  return (
    <div className="chart">
      <div
        ref={box}
        className="plot"
        role="img"
        aria-label={props.label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the crosshair
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => setIndex(null)}
      />
      <output className="note read">{index !== null && readingOf(props, named, index)}</output>
      <DataTable {...props} named={named} />
    </div>
  );
}

function readingOf({ x, xName, formatX, format }: LineChartProps, named: readonly Line[], index: number): string {
  const parts = named.flatMap((line) => {
    const value = line.column[index];
    return value === null || value === undefined ? [] : [`${line.name} ${format(value)}`.trim()];
  });
  return [`${xName} ${formatX(x[index] ?? 0)}`, ...parts].join(" · ");
}

function DataTable({ x, xName, formatX, format, named }: LineChartProps & { readonly named: readonly Line[] }) {
  const rows = useMemo(() => tableRows(x.length), [x]);
  return (
    <details className="data">
      <summary>As a table</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">{xName}</th>
            {named.map((line) => (
              <th scope="col" className="num" key={line.name}>
                {line.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={x[row]}>
              <td>{formatX(x[row] ?? 0)}</td>
              {named.map((line) => {
                const value = line.column[row] ?? null;
                return (
                  <td className="num" key={line.name}>
                    {value === null ? "–" : format(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
