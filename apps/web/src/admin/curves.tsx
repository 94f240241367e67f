// The desk's charts: loss or accuracy, throughput, bytes. Only the newest rounds in the bars.
import type { RunDetail } from "@weft/protocol";
import { type CSSProperties, useMemo, useState } from "react";
import { BarChart } from "../charts/bar-chart.tsx";
import { EmptyChart, LossChart, type Measure } from "../charts/loss-chart.tsx";
import { type Across, throughput } from "../charts/series.ts";
import { bytesFigure, inWords, rate } from "../words/figures.ts";
import { isClassifier } from "../words/run-words.ts";

const ACROSS: readonly (readonly [Across, string])[] = [
  ["version", "Version"],
  ["samples", "Samples"],
  ["time", "Time"],
];
const ROUNDS = 60;

export function Curves({ detail }: { detail: RunDetail }) {
  const [across, setAcross] = useState<Across>("version");
  const [smoothing, setSmoothing] = useState(60);
  const [wanted, setMeasure] = useState<Measure>("loss");
  const classifier = isClassifier(detail);
  const measure = classifier ? wanted : "loss";
  return (
    <div className="pair">
      <section className="sec" aria-labelledby="h-loss">
        <div className="sec-head">
          <h2 id="h-loss">
            {measure === "loss" ? "Loss" : "Held-out right"}{" "}
            <span className="note plainer">{measure === "loss" ? unitOf(detail) : "per cent"}</span>
          </h2>
          <div className="end">
            {classifier && (
              <Tabs
                label="What is drawn"
                options={[
                  ["loss", "Loss"],
                  ["accuracy", "Right"],
                ]}
                value={measure}
                onChange={setMeasure}
              />
            )}
            <Tabs label="Across" options={ACROSS} value={across} onChange={setAcross} />
            {measure === "loss" && (
              <label>
                Smooth{" "}
                <input
                  type="range"
                  min={0}
                  max={99}
                  value={smoothing}
                  style={{ "--at": `${(100 * smoothing) / 99}%` } as CSSProperties}
                  onChange={(event) => setSmoothing(event.target.valueAsNumber)}
                />
              </label>
            )}
          </div>
        </div>
        <LossChart detail={detail} measure={measure} across={across} smoothing={smoothing / 100} heightPx={262} />
      </section>
      <Bars detail={detail} />
    </div>
  );
}

const unitOf = (detail: RunDetail): string => (isClassifier(detail) ? "nats a sample" : "nats a character");

function Bars({ detail }: { detail: RunDetail }) {
  const { versionPoints } = detail;
  const speeds = useMemo(() => throughput(versionPoints, ROUNDS), [versionPoints]);
  const speedX = useMemo(() => speeds.map((point) => point.version), [speeds]);
  const speedY = useMemo(() => speeds.map((point) => point.perSecond), [speeds]);
  const tail = useMemo(() => versionPoints.slice(-ROUNDS), [versionPoints]);
  const bytesX = useMemo(() => tail.map((point) => point.version), [tail]);
  const bytesY = useMemo(() => tail.map((point) => point.bytesIn), [tail]);
  const size = (value: number): string => inWords(bytesFigure(value));
  return (
    <div>
      <section className="sec" aria-labelledby="h-thr">
        <div className="sec-head">
          <h2 id="h-thr">Samples a second</h2>
          <span className="end">last {ROUNDS} rounds</span>
        </div>
        {speeds.length === 0 ? (
          <EmptyChart heightPx={84} text="After the second version." />
        ) : (
          <BarChart
            label={`Samples a second over the last ${speeds.length} rounds, from ${rate(speedY[0] ?? 0)} to ${rate(speedY[speedY.length - 1] ?? 0)}`}
            xName="version"
            valueName="samples a second"
            x={speedX}
            values={speedY}
            heightPx={96}
            ink="series-1"
            format={(value) => rate(value)}
          />
        )}
      </section>
      <section className="sec" aria-labelledby="h-by">
        <div className="sec-head">
          <h2 id="h-by">Bytes of contributions a round</h2>
        </div>
        {tail.length === 0 ? (
          <EmptyChart heightPx={84} text="After the first version." />
        ) : (
          <BarChart
            label={`Bytes of the contributions of each of the last ${tail.length} rounds; the newest ${size(bytesY[bytesY.length - 1] ?? 0)}`}
            xName="version"
            valueName="bytes in"
            x={bytesX}
            values={bytesY}
            heightPx={96}
            ink="series-3"
            format={size}
          />
        )}
      </section>
    </div>
  );
}

interface TabsProps<T extends string> {
  readonly label: string;
  readonly options: readonly (readonly [T, string])[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}
function Tabs<T extends string>({ label, options, value, onChange }: TabsProps<T>) {
  return (
    <fieldset className="tabs">
      <legend className="vh">{label}</legend>
      {options.map(([name, text]) => (
        <button key={name} type="button" aria-pressed={name === value} onClick={() => onChange(name)}>
          {text}
        </button>
      ))}
    </fieldset>
  );
}
