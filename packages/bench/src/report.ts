// Prints rows as a table and writes them as JSON with command, commit, seed and machine. Knows no bench.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { type Goal, meets, type Row } from "./bench.ts";

const figure = (value: number | null): string =>
  value === null ? "not measured" : Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4);
const goalText = (goal: Goal | null): string =>
  goal === null ? "" : `${goal.at === "most" ? "≤" : "≥"} ${goal.value.toLocaleString("en")}`;

export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ["figure", "value", "unit", "goal", "", "anchor"],
    ...rows.map((row) => [
      row.figure,
      figure(row.value),
      row.unit,
      goalText(row.goal),
      row.goal === null ? "" : meets(row) ? "met" : "MISSED",
      row.note === undefined ? row.anchor : `${row.anchor} (${row.note})`,
    ]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 1 || column === 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export interface Report {
  readonly bench: string;
  readonly command: string;
  readonly commit: string;
  readonly dirty: boolean;
  readonly seed: number;
  readonly short: boolean;
  readonly atIso: string;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly platform: string;
    readonly node: string;
  };
  readonly rows: readonly Row[];
}

const git = (...args: string[]): string => {
  try {
    return execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
};

export const reportOf = (bench: string, seed: number, short: boolean, rows: readonly Row[]): Report => ({
  bench,
  command: `npm run bench -- ${process.argv.slice(2).join(" ")}`,
  commit: git("rev-parse", "HEAD") || "unknown",
  dirty: git("status", "--porcelain") !== "",
  seed,
  short,
  atIso: new Date().toISOString(),
  machine: {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  },
  rows,
});

export const writeReport = (file: string, report: Report): void => writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
