// A small line of values, stretched to its box. Knows no axis.

interface Props {
  readonly values: readonly number[];
  /** The story in words; without it the line is decoration beside words that tell it. */
  readonly label?: string;
}
const WIDTH = 100;
const HEIGHT = 32;

/** Path of the values in a box of 100 by 32; a single value is a level line. Exported for its test. */
export function sparkPath(values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return "";
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const y = (value: number): string => (high === low ? HEIGHT / 2 : 2 + (1 - (value - low) / (high - low)) * (HEIGHT - 4)).toFixed(1);
  const points = finite.length === 1 ? [finite[0] ?? 0, finite[0] ?? 0] : finite;
  return `M${points.map((value, i) => `${((i / (points.length - 1)) * WIDTH).toFixed(1)} ${y(value)}`).join("L")}`;
}

export function Spark({ values, label }: Props) {
  return (
    // biome-ignore lint/a11y/noSvgWithoutTitle: it has its label, or is decoration and hidden
    <svg
      className="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      {...(label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label })}
    >
      <path
        d={sparkPath(values)}
        fill="none"
        stroke="var(--series-1)"
        strokeWidth="1.5"
        strokeLinejoin="round"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}
