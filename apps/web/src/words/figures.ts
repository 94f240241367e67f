// Numbers as people read them: grouped, with a thin number of digits, the unit after a space. Knows nothing of what they measure.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** 13,752 */
export const count = (value: number): string => grouped.format(value);

/** A figure and its unit apart, so that the unit can stand small and grey. */
export interface Figure {
  readonly value: string;
  readonly unit: string;
}
export const inWords = ({ value, unit }: Figure): string => (unit === "" ? value : `${value} ${unit}`);

const BYTE_UNITS = ["B", "KB", "MB", "GB", "TB"] as const;
/** Decimal units: 31 KB, 6.9 MB. */
export function bytesFigure(sizeBytes: number): Figure {
  let value = Math.max(0, sizeBytes);
  let step = 0;
  while (value >= 999.5 && step < BYTE_UNITS.length - 1) {
    value /= 1000;
    step++;
  }
  return { value: step === 0 || value >= 99.95 ? count(Math.round(value)) : trimmed(value), unit: BYTE_UNITS[step] ?? "TB" };
}
const trimmed = (value: number): string => (value >= 9.95 ? String(Math.round(value)) : oneDigit.format(value));
export const bytes = (sizeBytes: number): string => inWords(bytesFigure(sizeBytes));

/** A fraction as `98.9 %`. */
export const percent = (fraction: number, digits = 1): string => `${(100 * fraction).toFixed(digits)} %`;

/** A speed with as many digits as it deserves: 0.53, 2.0, 24.6, 204. */
export const rate = (value: number): string =>
  value === 0 ? "0" : value < 1 ? value.toFixed(2) : value < 100 ? oneDigit.format(value) : count(value);

export const loss = (value: number): string => value.toFixed(3);

/** Two units at most: 0.2 s, 14 s, 3 min, 4 h 54 min, 2 d 3 h. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const two = (value: number): string => String(value).padStart(2, "0");
/** Time of day of this machine, 24 hours: 14:31:42. */
export function clock(atMs: number, seconds = true): string {
  const date = new Date(atMs);
  const short = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return seconds ? `${short}:${two(date.getSeconds())}` : short;
}
/** The time today, else the day before it: 14:25, or 21 Nov 14:25. */
export function moment(atMs: number, nowMs: number): string {
  const date = new Date(atMs);
  const same = date.toDateString() === new Date(nowMs).toDateString();
  return same ? clock(atMs, false) : `${date.getDate()} ${date.toLocaleString("en", { month: "short" })} ${clock(atMs, false)}`;
}

/** The two ends of a hash: 9f3c…41d7. */
export const shortHash = (hash: string): string => `${hash.slice(0, 4)}…${hash.slice(-4)}`;

/** A small number in the way specifications write it: 2e-3, 0.5. */
export const small = (value: number): string =>
  value !== 0 && Math.abs(value) < 0.01 ? value.toExponential().replace("e-0", "e-") : String(value);

/** "1 lease", "29 leases". */
export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

/** 1st, 2nd, 3rd, 29th. */
export function ordinal(value: number): string {
  const tens = value % 100;
  const end = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][value % 10] ?? "th");
  return `${count(value)}${end}`;
}
