// The terminal of `weft serve`: lines that stay, and below them one live line a run, redrawn in place. Where the output is no terminal, a plain
// line now and then instead. Knows no coordinator.

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Plain output repeats a run's line at most this often. */
export const PLAIN_EVERY_MS = 5_000;

const ESC = "\u001b[";
const cut = (line: string, columns: number): string => {
  const characters = [...line];
  return characters.length < columns ? line : `${characters.slice(0, Math.max(1, columns - 2)).join("")}…`;
};

export class Terminal {
  readonly #screen: Screen;
  readonly #now: () => number;
  #live: readonly string[] = [];
  #drawn = 0;
  #lastPlainMs = Number.NEGATIVE_INFINITY;
  #lastPlain: readonly string[] = [];

  constructor(screen: Screen, now: () => number = Date.now) {
    this.#screen = screen;
    this.#now = now;
  }

  get live(): boolean {
    return this.#screen.isTTY === true;
  }

  /** Text that stays, above the live lines. A missing line end is added. */
  say(text: string): void {
    const whole = text.endsWith("\n") ? text : `${text}\n`;
    if (this.live) this.#screen.write(`${this.#erase()}${whole}${this.#draw()}`);
    else this.#screen.write(whole);
  }

  /** The lines of now, one a run. */
  show(lines: readonly string[]): void {
    if (this.live) {
      if (lines.length === this.#drawn && lines.every((line, index) => line === this.#live[index])) return;
      const erase = this.#erase();
      this.#live = lines;
      this.#screen.write(`${erase}${this.#draw()}`);
      return;
    }
    if (this.#now() - this.#lastPlainMs < PLAIN_EVERY_MS) return;
    const changed = lines.filter((line, index) => line !== this.#lastPlain[index]);
    if (changed.length === 0) return;
    this.#lastPlainMs = this.#now();
    this.#lastPlain = lines;
    this.#screen.write(changed.map((line) => `${line}\n`).join(""));
  }

  #erase(): string {
    const up = this.#drawn === 0 ? "" : `${ESC}${this.#drawn}A`;
    this.#drawn = 0;
    return `${up}\r${ESC}0J`;
  }
  #draw(): string {
    this.#drawn = this.#live.length;
    return this.#live.map((line) => `${cut(line, this.#screen.columns ?? 80)}\n`).join("");
  }
}
