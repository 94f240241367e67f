// One line of text for each run, from what the coordinator shows of it. Pure; knows no terminal and no clock.
import type { RunDetail } from "@weft/protocol";
import { visible } from "../commands/columns.ts";

const BAR_CELLS = 20;
const NAME_CELLS = 12;

export const duration = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  if (hours >= 48) return `${Math.round(hours / 24)} d`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
};
const grouped = (value: number): string => Math.round(value).toLocaleString("en-GB");
const rate = (value: number): string => (value >= 100 ? grouped(value) : value.toFixed(1));

const bar = (share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
  return `${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)}`;
};
const fit = (text: string, cells: number): string => {
  const characters = [...text];
  return characters.length > cells ? `${characters.slice(0, cells - 1).join("")}…` : text.padEnd(cells);
};

type Shown = Pick<
  RunDetail,
  "name" | "phase" | "version" | "versions" | "lossMean" | "heldOutLoss" | "accuracy" | "volunteersNow" | "rates"
>;

/** Version, loss, held-out accuracy or loss, samples a second, volunteers, time left; absent figures are left out. */
export function progressLine(run: Shown): string {
  const parts = [`${fit(visible(run.name), NAME_CELLS)} ${bar(run.version / run.versions)} v${run.version} of ${run.versions}`];
  if (run.lossMean !== null) parts.push(`loss ${run.lossMean.toFixed(3)}`);
  if (run.accuracy !== null) parts.push(`accuracy ${(100 * run.accuracy).toFixed(1)} %`);
  else if (run.heldOutLoss !== null) parts.push(`held-out loss ${run.heldOutLoss.toFixed(3)}`);
  switch (run.phase) {
    case "running":
      if (run.rates.samplesPerSecond > 0) parts.push(`${rate(run.rates.samplesPerSecond)} samples/s`);
      parts.push(run.volunteersNow === 1 ? "1 volunteer" : `${run.volunteersNow} volunteers`);
      if (run.rates.remainingMs !== null) parts.push(`${duration(run.rates.remainingMs)} left`);
      break;
    case "paused":
    case "stopped":
    case "finished":
      parts.push(run.phase);
      break;
    default:
      run.phase satisfies never;
  }
  return parts.join("  ");
}
