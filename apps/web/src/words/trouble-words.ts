// What pages say when a run stands still although people are there: which trouble it is, what is kept, and what comes next. Pure.
import type { TroubleView } from "@weft/protocol";

export interface TroubleWords {
  /** Beside the run's name. */
  readonly word: string;
  readonly title: string;
  readonly next: string;
}

export function troubleWords({ kind }: Pick<TroubleView, "kind">): TroubleWords {
  switch (kind) {
    case "disk-full":
      return {
        word: "disk full",
        title: "The coordinator’s disk is full.",
        next: "What was accepted is on it and stays. The run takes nothing new until there is room; it looks again by itself.",
      };
    case "unavailable":
      return {
        word: "disk not writable",
        title: "The coordinator cannot write to its disk.",
        next: "It may be read-only, gone, or in use by another process. What was accepted is kept; the run takes nothing new until writing works again, and looks by itself.",
      };
    case "damaged":
      return {
        word: "storage damaged",
        title: "What is stored of this run is damaged.",
        next: "Nothing was repaired by guessing, and the run takes nothing new. The command below names the record or file; then put the data folder back from a backup and start again.",
      };
    case "closing":
      return {
        word: "cannot close its round",
        title: "The round cannot be closed.",
        next: "What came in for it is kept.",
      };
    default:
      return kind satisfies never;
  }
}
