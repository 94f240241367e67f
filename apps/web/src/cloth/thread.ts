// The reader's own thread as an SVG path: from the button to the pick, or wherever it hangs in each state. Pure geometry.
import type { Geometry } from "./loom.ts";

/** Loose before lending, being threaded, drawn in, slack, cut, or not there. */
export type ThreadState = "loose" | "threading" | "drawn" | "slack" | "cut" | "none";

export interface ThreadPlaces {
  /** Middle of the open pick. */
  readonly shedY: number;
  /** Middle of the newest row that holds the reader's work; null where none is in sight. */
  readonly lastOwnY: number | null;
  /** Present sideways sway in pixels. */
  readonly sway: number;
}

const f = (value: number): string => value.toFixed(1);
const move = (x: number, y: number): string => `M${f(x)} ${f(y)}`;
const line = (x: number, y: number): string => `L${f(x)} ${f(y)}`;
const curve = (...points: readonly number[]): string => `C${points.map(f).join(" ")}`;

/** Null where no thread is shown. */
export function threadPath(g: Geometry, state: ThreadState, { shedY, lastOwnY, sway }: ThreadPlaces): string | null {
  const { anchor } = g;
  const leg = g.x - 66;
  /** From an element at the left up along the cloth to height y, ending at x = `end`. */
  const rise = (x0: number, y0: number, y: number, end: number): string =>
    move(x0, y0) +
    curve(Math.max(leg - 60, x0 + 8), y0, leg, y0 + 4, leg + sway, (y0 + y) / 2 + 20) +
    curve(leg - 2, y + 30, leg + 8, y, leg + 40, y) +
    line(end, y);
  const cut = (): string | null =>
    lastOwnY === null || !g.wide
      ? null
      : move(g.x + 2, lastOwnY) + line(leg + 34, lastOwnY) + curve(leg + 6, lastOwnY, leg, lastOwnY + 16, leg + 1 + sway, lastOwnY + 56);

  switch (state) {
    case "none":
      return null;
    case "drawn": {
      if (anchor === null) return cut();
      if (g.wide) {
        const middle = (anchor.right + g.x) / 2;
        return move(anchor.right + 4, anchor.middle) + curve(middle, anchor.middle, middle, shedY, g.x + 2, shedY);
      }
      const x = 8;
      return (
        move(anchor.left - 2, anchor.middle) +
        curve(x, anchor.middle, x, anchor.middle, x, anchor.middle + 16) +
        line(x, shedY - 20) +
        curve(x, shedY, x, shedY, x + 14, shedY)
      );
    }
    case "loose":
    case "threading": {
      if (anchor === null) return null;
      if (g.wide) return rise(anchor.right, state === "loose" ? anchor.middle : anchor.bottom - 1, shedY + sway / 2, g.x - 14);
      if (state === "threading") return null;
      const x = anchor.left + 28;
      return move(x, anchor.bottom) + curve(x, anchor.bottom + 22, x - 8 + sway, shedY - 46, x + 2 + sway, shedY - 16);
    }
    case "slack":
      if (lastOwnY === null || !g.wide || anchor === null) return cut();
      return rise(anchor.right, anchor.middle, lastOwnY, g.x + 2);
    case "cut":
      return cut();
    default:
      return state satisfies never;
  }
}
