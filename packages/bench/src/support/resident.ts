// Memory and processor time of another process. Linux reads /proc; elsewhere ps is asked for the memory.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

export function residentBytes(pid: number): number {
  const status = `/proc/${pid}/status`;
  const kilobytes = existsSync(status)
    ? /VmRSS:\s+(\d+)/.exec(readFileSync(status, "utf8"))?.[1]
    : execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" }).trim();
  return Number(kilobytes) * 1024;
}

/** Of all its threads, user and system, from its start; null where there is no /proc. Linux counts in hundredths of a second. */
export function processorMs(pid: number): number | null {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return null;
  // Behind the name, which may hold spaces, the 12th and 13th field.
  const fields = readFileSync(path, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

/** Samples every `everyMs` until `stop` is called, which gives median and maximum. */
export function watchResident(pid: number, everyMs: number): () => { readonly median: number; readonly max: number } {
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(residentBytes(pid)), everyMs);
  return () => {
    clearInterval(timer);
    const sorted = samples.sort((a, b) => a - b);
    return { median: sorted[sorted.length >> 1] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
  };
}
