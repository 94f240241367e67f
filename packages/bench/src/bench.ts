// What a bench is: a name and a function that gives rows. Knows neither what is measured nor how rows are printed.

export interface Goal {
  readonly at: "most" | "least";
  readonly value: number;
}
/** One figure. `anchor` says against what it stands: a published figure, another tool in the same run, or the bar. */
export interface Row {
  readonly figure: string;
  /** Null: it was not measured; the note says why. An unmeasured row with a goal fails `--check`. */
  readonly value: number | null;
  readonly unit: string;
  readonly goal: Goal | null;
  readonly anchor: string;
  readonly note?: string;
}
export interface BenchContext {
  readonly short: boolean;
  readonly seed: number;
  /** Peak of this machine's GPU in f32, where somebody gave it: the bench that uses the GPU then uses it instead of the software adapter. */
  readonly peakTflops: number | null;
  /** Only the parts of the bench whose names hold this, where it has parts; null: all. */
  readonly only: string | null;
  /** Folder with the files of well-known data sets, where somebody named one. */
  readonly data: string | null;
  /** One line of progress. */
  readonly say: (line: string) => void;
}
export interface Bench {
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): Promise<readonly Row[]>;
}

export const meets = ({ value, goal }: Row): boolean =>
  goal === null || (value !== null && (goal.at === "most" ? value <= goal.value : value >= goal.value));
