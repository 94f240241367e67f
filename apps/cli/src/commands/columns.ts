// Text for a terminal: aligned columns, and strings from elsewhere made harmless. Knows no command.

/** Control characters (escape sequences among them), bidirectional marks and other unseen formatting. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** What is not seen, or changes how the rest is seen, becomes `?`. */
export const visible = (text: string): string => text.replace(UNSEEN, "?");

/** JSON in lines, with all that is unseen written as escapes: harmless on a terminal, and the same value to a program. */
export const visibleJson = (value: unknown): string =>
  JSON.stringify(value, null, 2).replace(UNSEEN, (found) =>
    found === "\n"
      ? found
      : Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );

/** Rows as columns two spaces apart; every cell is made visible. */
export function columns(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(visible));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => [...(row[column] ?? "")].length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - [...cell].length)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
