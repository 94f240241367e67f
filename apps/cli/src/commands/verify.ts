// `weft verify`: says of a run what is proved and what is wrong. Prints; the checks are @weft/audit's.
import type { Finding, Verification, VerifyProgress } from "@weft/audit";
import { type Command, InvalidArgumentError } from "commander";
import { liveLine } from "../audit/live-line.ts";
import { type Where, withSubjects } from "../audit/open-subjects.ts";
import { withUrl } from "./api.ts";
import { visible, visibleJson } from "./columns.ts";

interface VerifyOptions extends Where {
  readonly key?: string;
  readonly json?: boolean;
}

/** Of a run with more, the rest is only counted. */
const MAX_SHOWN = 20;

const keyOf = (text: string): string => {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be 64 hexadecimal digits.");
};

const progressOf = (progress: VerifyProgress): string => {
  switch (progress.phase) {
    case "file":
      return `reading the file: ${Math.round((100 * progress.done) / Math.max(1, progress.of))} %`;
    case "ledger":
      return `checking the ledger: record ${progress.done}`;
    case "bytes":
      return `checking bytes: ${progress.done} of ${progress.of}`;
    default:
      return progress satisfies never;
  }
};

export const findings = (count: number): string => (count === 1 ? "1 finding" : `${count} findings`);
const placeOf = ({ seq, sha256 }: Finding): string =>
  [seq === null ? "" : `record ${seq}`, sha256 === null ? "" : sha256.slice(0, 12)].filter((part) => part !== "").join(", ");

function told({ run, name, ok, findings: list, found, proved, newest }: Verification, where: string, seconds: number): string {
  const title = name === null || name === run ? run : `${run} (${name})`;
  const head = `${title}, ${newest === null ? "no run" : `version ${newest}`}, ${where}`;
  const wrong = list.slice(0, MAX_SHOWN).map((finding) => {
    const place = placeOf(finding);
    return `  ✗ ${place === "" ? "" : `${place}: `}${finding.detail}`;
  });
  const more = found > wrong.length && !ok ? [`  and ${found - wrong.length} more; --json names up to 200`] : [];
  const said = proved.map((sentence) => `  ${ok ? "✓" : "·"} ${sentence}`);
  const verdict = ok ? `Proved in ${seconds.toFixed(1)} s.` : `Not proved: ${findings(found)}.`;
  return [head, ...wrong, ...more, ...said, verdict].map(visible).join("\n");
}

async function run(name: string, { json, key, ...where }: VerifyOptions): Promise<void> {
  const results = await withSubjects(name, where, async (subjects) => {
    const all: Verification[] = [];
    for (const subject of subjects) {
      const line = liveLine();
      const began = performance.now();
      const result = await subject.verify({
        onProgress: (progress) => line.show(() => `${subject.source.run}: ${progressOf(progress)}`),
        ...(key === undefined ? {} : { key }),
      });
      line.end();
      all.push(result);
      if (json !== true)
        process.stdout.write(`${all.length > 1 ? "\n" : ""}${told(result, subject.where, (performance.now() - began) / 1000)}\n`);
    }
    return all;
  });
  const wrong = results.filter(({ ok }) => !ok);
  if (json === true) process.stdout.write(`${visibleJson({ ok: wrong.length === 0, runs: results })}\n`);
  if (wrong.length > 0) throw new Error(`${wrong.map((result) => `${result.run}: ${findings(result.found)}`).join("; ")}. Not proved.`);
}

export const withPlace = (command: Command): Command =>
  withUrl(command)
    .option("--data <folder>", "read the run from this data folder, whose coordinator is stopped, instead of asking a coordinator")
    .option("--run <run>", "of a data folder, only this run");

export function registerVerify(program: Command): void {
  withPlace(
    program
      .command("verify <run|file|folder>")
      .description("check a run, an archive or a data folder: chain, signatures, every byte, and that each sample was counted once"),
  )
    .option("--key <key>", "the coordinator's key as you know it from elsewhere", keyOf)
    .option("--json", "everything that was found and proved, as JSON")
    .action(run);
}
