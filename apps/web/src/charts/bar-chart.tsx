// One bar a round: uPlot's bars with the sheet's colours. Knows nothing of what is measured.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "../styles/charts.css";
import { onThemeChange, token } from "../app/theme.ts";

interface Props {
  readonly label: string;
  readonly xName: string;
  readonly valueName: string;
  readonly x: readonly number[];
  readonly values: readonly number[];
  readonly heightPx: number;
  readonly ink: string;
  readonly format: (value: number) => string;
}

export function BarChart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const first = newest.current;
    const made = new uPlot(
      {
        width: Math.max(1, element.clientWidth),
        height: first.heightPx,
        padding: [6, 0, 6, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          // Half a bar of room at each end.
          x: { time: false, range: (_, low, high) => [low - 0.6, high + 0.6] },
          y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] },
        },
        axes: [
          {
            show: true,
            size: 2,
            values: () => [],
            grid: { show: false },
            ticks: { show: false },
            border: { show: true, stroke: () => token("line-control"), width: 1 },
          },
          {
            stroke: () => token("ink-3"),
            font: `12px ${token("sans")}`,
            size: 48,
            gap: 8,
            space: 28,
            grid: { stroke: () => token("line"), width: 1 },
            ticks: { show: false },
            values: (_, splits) => splits.map((split) => newest.current.format(split)),
          },
        ],
        series: [
          {},
          {
            stroke: () => token(newest.current.ink),
            fill: () => token(newest.current.ink),
            width: 0,
            points: { show: false },
            ...(uPlot.paths.bars === undefined ? {} : { paths: uPlot.paths.bars({ size: [0.55, 12] }) }),
          },
        ],
      },
      [[...first.x], [...first.values]],
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
  }, []);
  useEffect(() => {
    plot.current?.setData([[...props.x], [...props.values]]);
  }, [props.x, props.values]);

  const tail = props.x.slice(-12);
  return (
    <div className="chart">
      <div ref={box} className="plot" role="img" aria-label={props.label} />
      <details className="data">
        <summary>As a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{props.xName}</th>
              <th scope="col" className="num">
                {props.valueName}
              </th>
            </tr>
          </thead>
          <tbody>
            {tail.map((x, index) => (
              <tr key={x}>
                <td>{x}</td>
                <td className="num">{props.format(props.values[props.x.length - tail.length + index] ?? 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}
