// Paints the cloth on a canvas: bare warp, woven rows, the open pick, the ruler, and the reader's own thread.
// Figures come in, lines go out; knows nothing of runs or sockets.
import { onThemeChange, prefersCalm, token } from "../app/theme.ts";
import { GAP, PITCH, ROW, rulerMark, type Stretch, spread, type WovenRow } from "./geometry.ts";
import { type ThreadState, threadPath } from "./thread.ts";
import type { Weave } from "./weaves.ts";

export interface LoomPicture {
  readonly weave: Weave;
  /** Newest first. */
  readonly rows: readonly WovenRow[];
  readonly pick: readonly Stretch[];
  readonly checkpointEvery: number;
  readonly thread: ThreadState;
}
export interface Geometry {
  readonly width: number;
  readonly height: number;
  /** The bed: where the warp is up. */
  readonly x: number;
  readonly y: number;
  readonly bottom: number;
  readonly ends: number;
  readonly fell: number;
  /** Beside the words rather than below them. */
  readonly wide: boolean;
  /** The element that holds the reader's thread: right edge and middle, left edge and bottom. */
  readonly anchor: { readonly right: number; readonly middle: number; readonly left: number; readonly bottom: number } | null;
}
interface Ink {
  readonly warp: string;
  readonly paper: string;
  readonly note: string;
  readonly strong: string;
  readonly sans: string;
  readonly tints: readonly string[];
}

const BEAT_MS = 260;
/** Rows that were undone stay in the cloth, bleached. */
const UNDONE_ALPHA = 0.3;
/** The thread sways slowly: 20 pictures a second are enough and leave the machine to its work. A beat is drawn at full rate. */
const SWAY_FRAME_MS = 50;

const readInk = (): Ink => ({
  warp: token("warp"),
  paper: token("paper"),
  note: token("ink-3"),
  strong: token("ink"),
  sans: token("sans"),
  tints: ["madder-fill", ...[1, 2, 3, 4, 5, 6].map((dip) => `thread-${dip}`)].map(token),
});

export function createLoom(canvas: HTMLCanvasElement, host: HTMLElement, bed: HTMLElement, first: LoomPicture) {
  const context = canvas.getContext("2d");
  let picture = first;
  let ink = readInk();
  let geometry: Geometry | null = null;
  let woven: HTMLCanvasElement | null = null;
  let beat: { readonly row: WovenRow; readonly fromMs: number } | null = null;
  let frame = 0;
  let paintedMs = 0;

  const density = (): number => Math.min(devicePixelRatio || 1, 2);
  /** Rows under the fell: while a beat falls, the newest is still above it. */
  const rowsBelow = (): readonly WovenRow[] => (beat === null ? picture.rows : picture.rows.slice(1));

  function stretch(
    target: CanvasRenderingContext2D,
    left: number,
    [from, to]: readonly [number, number],
    row: number,
    y: number,
    colour: string,
  ): void {
    if (to <= from) return;
    target.fillStyle = colour;
    target.beginPath();
    target.roundRect(left + from * PITCH + 0.4, y + 0.5, (to - from) * PITCH - 0.8, ROW - 1, 2);
    target.fill();
    const { weave } = picture;
    for (let end = from; end < to; end++) {
      // Where the weft passes under, the warp shows: once a float, at its edge.
      if (weave(end, row) || !weave(end + 7, row)) continue;
      const x = left + end * PITCH + 3.5;
      target.fillStyle = ink.paper;
      target.fillRect(x - 1.7, y, 3.4, ROW);
      target.fillStyle = ink.warp;
      target.fillRect(x - 1, y - 0.5, 2, ROW + 1);
    }
  }

  /** Woven rows change once a version, so they are kept as a bitmap. */
  function bake(): void {
    const g = geometry;
    if (g === null) return;
    const many = Math.ceil((g.bottom - g.fell) / ROW) + 1;
    const scale = density();
    woven = document.createElement("canvas");
    woven.width = Math.max(1, Math.round(g.width * scale));
    woven.height = Math.max(1, Math.round(many * ROW * scale));
    const target = woven.getContext("2d");
    if (target === null) return;
    target.setTransform(scale, 0, 0, scale, 0, 0);
    rowsBelow()
      .slice(0, many)
      .forEach((row, k) => {
        target.globalAlpha = row.undone ? UNDONE_ALPHA : 1;
        for (const [from, to, { tint }] of spread(row.stretches, g.ends))
          stretch(target, g.x, [from, to], row.version, k * ROW, ink.tints[tint] ?? ink.warp);
      });
  }

  /** The newest row below the fell that holds the reader's work; -1 where none is in sight. */
  const ownRow = (): number => rowsBelow().findIndex((row) => row.stretches.some((part) => part.tint === 0));

  function ruler(target: CanvasRenderingContext2D, g: Geometry, shift: number): void {
    target.textAlign = "right";
    target.textBaseline = "middle";
    const crossing = picture.thread === "cut" || picture.thread === "slack" ? ownRow() : -1;
    rowsBelow().forEach((row, k) => {
      if (k * ROW >= g.bottom - g.fell - 8) return;
      // Where the reader's thread leaves the cloth it would run through the numbers.
      if (crossing >= 0 && Math.abs(k - crossing) * ROW < 12) return;
      const y = Math.round(g.fell + k * ROW + ROW / 2 + shift);
      const mark = rulerMark(row.version, picture.checkpointEvery);
      target.fillStyle = mark === "checkpoint" ? ink.strong : ink.note;
      target.font = `${mark === "checkpoint" ? 600 : 400} 11px ${ink.sans}`;
      // Checkpoints closer than two lines of text would write over one another: only each eighth row is then named.
      const named = mark === "eighth" || (mark === "checkpoint" && (picture.checkpointEvery >= 3 || row.version % 8 === 0));
      if (named) target.fillText(`v${row.version}`, g.x - 22, y);
      if (mark === "tick") target.fillRect(g.x - 9, y, 4, 1);
      else target.fillRect(g.x - 17, y, 12, mark === "checkpoint" ? 2 : 1);
    });
  }

  function paint(nowMs: number): void {
    const g = geometry;
    if (g === null || context === null || woven === null) return;
    paintedMs = nowMs;
    const progress = beat === null ? 0 : 1 - (1 - Math.min(1, (nowMs - beat.fromMs) / BEAT_MS)) ** 3;
    const shed = g.fell - ROW - GAP + progress * (GAP + ROW);
    context.clearRect(0, 0, g.width, g.height);
    context.save();
    context.beginPath();
    context.rect(0, g.y, g.width, g.bottom - g.y);
    context.clip();
    context.fillStyle = ink.warp;
    const bare = picture.rows.length === 0 ? g.bottom - g.y : g.fell - g.y + ROW;
    const rowsHeight = rowsBelow().length * ROW;
    for (let end = 0; end < g.ends; end++) {
      context.fillRect(g.x + end * PITCH + 3, g.y, 1, bare);
      const below = g.fell + rowsHeight + progress * ROW;
      if (picture.rows.length > 0 && below < g.bottom) context.fillRect(g.x + end * PITCH + 3, below, 1, g.bottom - below);
    }
    context.drawImage(woven, 0, g.fell + progress * ROW, g.width, woven.height / density());
    const laid = beat?.row.stretches ?? picture.pick;
    const row = beat?.row.version ?? (picture.rows[0]?.version ?? 0) + 1;
    for (const [from, to, { tint, done }] of spread(laid, g.ends)) {
      const colour = ink.tints[tint] ?? ink.warp;
      if (done >= 1) stretch(context, g.x, [from, to], row, shed, colour);
      else {
        context.fillStyle = colour;
        context.fillRect(g.x + from * PITCH, shed + ROW / 2 - 0.75, Math.max(0, ((to - from) * PITCH - 1) * done), 1.5);
      }
    }
    context.restore();
    if (g.wide) ruler(context, g, progress * ROW);
    thread(context, g, nowMs, shed, progress);
  }

  /** The reader's thread: loose before lending, drawn in while working, slack in a pause, cut at the end. */
  function thread(target: CanvasRenderingContext2D, g: Geometry, nowMs: number, shed: number, progress: number): void {
    const mine = ownRow();
    const path = threadPath(g, picture.thread, {
      shedY: shed + ROW / 2,
      lastOwnY: mine < 0 ? null : g.fell + mine * ROW + ROW / 2 + progress * ROW,
      sway: prefersCalm() ? 0 : Math.sin(nowMs / 1300) * 2.5,
    });
    if (path === null) return;
    const line = new Path2D(path);
    target.lineCap = "round";
    if (g.wide) {
      // A margin of paper keeps the thread apart from the ruler that it crosses.
      target.save();
      target.beginPath();
      target.rect(0, 0, g.x - 1, g.height);
      target.clip();
      target.strokeStyle = ink.paper;
      target.lineWidth = 8;
      target.stroke(line);
      target.restore();
    }
    target.strokeStyle = ink.tints[0] ?? ink.strong;
    target.lineWidth = 2;
    target.stroke(line);
  }

  /** Reads the page's layout again; cheap where nothing moved. */
  function measure(): void {
    const h = host.getBoundingClientRect();
    const b = bed.getBoundingClientRect();
    if (h.width === 0 || context === null) return;
    const held = host.querySelector<HTMLElement>("[data-anchor]");
    const a = held === null || held.offsetParent === null ? null : held.getBoundingClientRect();
    const wide = b.left - h.left > 120;
    const x = Math.round(b.left - h.left);
    const next: Geometry = {
      width: h.width,
      height: h.height,
      x,
      y: b.top - h.top,
      bottom: b.bottom - h.top,
      ends: Math.ceil((b.right - h.left - x) / PITCH),
      fell: Math.round(b.top - h.top + (wide ? 196 : 64)),
      wide,
      anchor:
        a === null
          ? null
          : { right: a.right - h.left, middle: a.top + a.height / 2 - h.top, left: a.left - h.left, bottom: a.bottom - h.top },
    };
    const scale = density();
    const resized = canvas.width !== Math.round(next.width * scale) || canvas.height !== Math.round(next.height * scale);
    const rebake = resized || geometry === null || geometry.fell !== next.fell || geometry.x !== next.x || geometry.bottom !== next.bottom;
    geometry = next;
    if (resized) {
      canvas.width = Math.round(next.width * scale);
      canvas.height = Math.round(next.height * scale);
      context.setTransform(scale, 0, 0, scale, 0, 0);
    }
    if (rebake) bake();
    paint(performance.now());
  }

  function tick(nowMs: number): void {
    if (beat !== null && nowMs - beat.fromMs > BEAT_MS) {
      beat = null;
      bake();
    }
    if (beat !== null || nowMs - paintedMs >= SWAY_FRAME_MS) paint(nowMs);
    frame = requestAnimationFrame(tick);
  }

  const resize = new ResizeObserver(measure);
  resize.observe(host);
  const unfollow = onThemeChange(() => {
    ink = readInk();
    bake();
    paint(performance.now());
  });
  measure();
  if (!prefersCalm()) frame = requestAnimationFrame(tick);

  return {
    measure,
    show(next: LoomPicture): void {
      const before = picture.rows[0]?.version ?? -1;
      const newest = next.rows[0];
      const sameWeave = picture.weave === next.weave;
      const changed = picture.rows !== next.rows || !sameWeave;
      picture = next;
      // One new row is beaten up to the fell; after a gap (a hidden tab, a reconnect) the cloth simply stands further on.
      if (newest !== undefined && sameWeave && before >= 0 && newest.version === before + 1 && !prefersCalm() && !document.hidden)
        beat = { row: newest, fromMs: performance.now() };
      else if (changed) beat = null;
      if (changed) bake();
      paint(performance.now());
    },
    dispose(): void {
      cancelAnimationFrame(frame);
      resize.disconnect();
      unfollow();
    },
  };
}
export type Loom = ReturnType<typeof createLoom>;
