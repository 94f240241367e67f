// A field to draw on, by pointer or keys, and what the model makes of it. Knows the computer, not how it computes.
import type { DatasetManifest } from "@weft/protocol";
import { type CSSProperties, type KeyboardEvent, type PointerEvent, useCallback, useEffect, useRef, useState } from "react";
import { onThemeChange, token } from "../app/theme.ts";
import { percent } from "../words/figures.ts";
import type { Computer } from "./computer.ts";
import type { Subject } from "./messages.ts";
import { dab, type Field, isBlank, moved } from "./pad.ts";

type ImageForm = Extract<DatasetManifest["form"], { kind: "images" }>;
interface Props {
  readonly manifest: DatasetManifest;
  readonly form: ImageForm;
  readonly subject: Subject;
  readonly computer: Computer;
  readonly onNote: (note: string) => void;
}
/** Pixels of the canvas; twice what is shown, for fine screens. */
const SIDE = 528;
/** Classes listed; a model of more shows its likeliest. */
const LISTED = 10;

function paint(canvas: HTMLCanvasElement, values: Float32Array, { height, width }: Field, cell: number | null): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const [w, h] = [SIDE / width, SIDE / height];
  context.clearRect(0, 0, SIDE, SIDE);
  context.fillStyle = token("ink");
  values.forEach((value, index) => {
    context.globalAlpha = value;
    context.fillRect((index % width) * w, Math.floor(index / width) * h, w + 0.5, h + 0.5);
  });
  context.globalAlpha = 1;
  if (width <= 16) {
    context.strokeStyle = token("line-firm");
    context.beginPath();
    for (let line = 1; line < width; line++) {
      context.moveTo(line * w, 0);
      context.lineTo(line * w, SIDE);
    }
    for (let line = 1; line < height; line++) {
      context.moveTo(0, line * h);
      context.lineTo(SIDE, line * h);
    }
    context.stroke();
  }
  if (cell === null) return;
  context.strokeStyle = token("focus");
  context.lineWidth = 4;
  context.strokeRect((cell % width) * w, Math.floor(cell / width) * h, w, h);
  context.lineWidth = 1;
}

export function Drawing({ manifest, form, subject, computer, onNote }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { height, width } = form;
  const [values, setValues] = useState(() => new Float32Array(height * width));
  const [cell, setCell] = useState<number | null>(null);
  const [chances, setChances] = useState<Float32Array | null>(null);
  const [truth, setTruth] = useState<number | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const busy = useRef(false);
  const next = useRef<Float32Array | null>(null);
  const latest = useRef(subject);
  latest.current = subject;

  useEffect(() => {
    const draw = () => canvas.current !== null && paint(canvas.current, values, { height, width }, cell);
    draw();
    return onThemeChange(draw);
  }, [values, cell, height, width]);

  /** One question at a time; of the drawings that come meanwhile only the newest is asked about. */
  const classify = useCallback(
    async (drawing: Float32Array) => {
      next.current = drawing;
      if (busy.current) return;
      busy.current = true;
      try {
        while (next.current !== null) {
          const now: Float32Array = next.current;
          next.current = null;
          const { probabilities, tookMs } = await computer.ask({ kind: "classify", subject: latest.current, values: now });
          setFailure(null);
          setChances(probabilities);
          onNote(`computed in this page, in ${tookMs < 1 ? "under a millisecond" : `${tookMs.toFixed(0)} ms`}`);
        }
      } catch (error) {
        setFailure(error instanceof Error ? error.message : String(error));
      } finally {
        busy.current = false;
      }
    },
    [computer, onNote],
  );
  const show = (drawing: Float32Array<ArrayBuffer>, label: number | null) => {
    setValues(drawing);
    setTruth(label);
    if (isBlank(drawing)) setChances(null);
    else void classify(drawing);
  };
  const onPointer = (event: PointerEvent<HTMLCanvasElement>) => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (event.buttons === 0) return;
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    show(Float32Array.from(dab(values, { height, width }, x, y)), null);
  };
  const onKey = (event: KeyboardEvent) => {
    const to = moved(cell, event.key, { height, width });
    if (to !== null) setCell(to);
    else if (event.key === " " && cell !== null) {
      const filled = Float32Array.from(values);
      filled[cell] = filled[cell] === 0 ? 1 : 0;
      show(filled, null);
    } else return;
    event.preventDefault();
  };
  const heldOut = manifest.heldOut.reduce((sum, shard) => sum + shard.samples, 0);
  const takeHeldOut = async () => {
    try {
      const image = await computer.ask({ kind: "held-out", manifest, index: Math.floor(Math.random() * heldOut) });
      show(Float32Array.from(image.values), image.label);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      {failure !== null && (
        <p className="notice" role="alert">
          {failure}
        </p>
      )}
      <div className="draw">
        <div>
          <canvas
            ref={canvas}
            width={SIDE}
            height={SIDE}
            role="img"
            aria-label={`Drawing field, ${width} by ${height} squares. Draw with the pointer, or move with the arrow keys and fill with space.`}
            tabIndex={0}
            onPointerDown={onPointer}
            onPointerMove={onPointer}
            onKeyDown={onKey}
            onBlur={() => setCell(null)}
          />
          <p className="acts">
            <button className="btn tight" type="button" onClick={() => show(new Float32Array(height * width), null)}>
              Clear
            </button>
            {heldOut > 0 && (
              <button className="btn tight" type="button" onClick={() => void takeHeldOut()}>
                A held-out one
              </button>
            )}
          </p>
        </div>
        <Guess labels={form.labels} classes={form.classes} chances={chances} truth={truth} />
      </div>
    </>
  );
}

function Guess({
  labels,
  classes,
  chances,
  truth,
}: {
  labels: readonly string[];
  classes: number;
  chances: Float32Array | null;
  truth: number | null;
}) {
  const name = (index: number): string => labels[index] ?? String(index);
  const all = Array.from({ length: classes }, (_, index) => index);
  const listed = classes <= LISTED ? all : all.sort((a, b) => (chances?.[b] ?? 0) - (chances?.[a] ?? 0)).slice(0, LISTED);
  const top = chances === null ? -1 : chances.indexOf(Math.max(...chances));
  return (
    <div>
      <ol className="guess">
        {listed.map((index) => {
          const chance = chances?.[index] ?? 0;
          return (
            <li key={index} className={index === top ? "top" : ""}>
              <span>{name(index)}</span>
              <i style={{ "--p": `${100 * chance}%` } as CSSProperties} />
              <span className="num">{chances === null ? "" : percent(chance)}</span>
            </li>
          );
        })}
      </ol>
      <p className="small quiet told" aria-live="polite">
        {chances === null
          ? "Draw one, or take one that was held out of training."
          : `Read as ${name(top)}, ${percent(chances[top] ?? 0)}.${truth === null ? "" : truth === top ? " That is right." : ` It is a ${name(truth)}.`}`}
      </p>
    </div>
  );
}
