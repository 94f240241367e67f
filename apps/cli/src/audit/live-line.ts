// One line that is drawn again in place while something takes its time; nothing where standard error is no terminal. Knows no work.
const REDRAW_MS = 100;

export interface LiveLine {
  show(text: () => string): void;
  /** Takes the line away. */
  end(): void;
}

export function liveLine(
  screen: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown } = process.stderr,
): LiveLine {
  let [last, drawn] = [0, false];
  return {
    show(text) {
      const now = Date.now();
      if (screen.isTTY !== true || now - last < REDRAW_MS) return;
      last = now;
      drawn = true;
      screen.write(`\r\u001b[2K${text().slice(0, Math.max(1, (screen.columns ?? 80) - 1))}`);
    },
    end() {
      if (drawn) screen.write("\r\u001b[2K");
      drawn = false;
    },
  };
}
