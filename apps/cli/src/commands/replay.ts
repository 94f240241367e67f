// `weft replay`: computes a run's weights again and compares each version with what the ledger names. Prints; the computing is @weft/audit's.
import { type Replay, type ReplayedVersion, replay } from "@weft/audit";
import { type Command, InvalidArgumentError } from "commander";
import { liveLine } from "../audit/live-line.ts";
import { fast, type Subject, withSubjects } from "../audit/open-subjects.ts";
import { visible, visibleJson } from "./columns.ts";
import { withPlace } from "./verify.ts";

interface ReplayOptions {
  readonly url: string;
  readonly data?: string;
  readonly run?: string;
  readonly from?: number;
  readonly to?: number;
  readonly json?: boolean;
}

const versionOf = (text: string): number => {
  const match = /^v?(\d{1,9})$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must be a version, for example 120.");
  return Number(match[1]);
};

interface Replayed extends Replay {
  readonly run: string;
  readonly seconds: number;
  readonly versions: readonly ReplayedVersion[];
}

async function replayed(subject: Subject, { from, to }: ReplayOptions): Promise<Replayed> {
  const line = liveLine();
  const versions: ReplayedVersion[] = [];
  const began = performance.now();
  const { hash } = fast();
  const result = await replay(subject.source, {
    hash,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    onVersion: (version, newest) => {
      versions.push(version);
      line.show(() => `${subject.source.run}: version ${version.version} of ${to ?? newest}`);
    },
  });
  line.end();
  return { run: subject.source.run, ...result, seconds: (performance.now() - began) / 1000, versions };
}

/** Neighbouring versions as one: `versions 3 to 7`. */
function inWords(versions: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const version of versions) {
    const last = ranges.at(-1);
    if (last?.[1] === version - 1) last[1] = version;
    else ranges.push([version, version]);
  }
  return ranges.map(([first, last]) => (first === last ? `version ${first}` : `versions ${first} to ${last}`)).join(", ");
}
const numbersOf = (versions: readonly ReplayedVersion[], wanted: (version: ReplayedVersion) => boolean): number[] =>
  versions.filter(wanted).map(({ version }) => version);
const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

function told({ run, versions, different, refused, seconds, same, givenUp }: Replayed, where: string): string {
  const lines = [`${run}, ${where}`];
  const first = versions[0];
  if (first?.outcome === "taken" && first.why === "beginning")
    lines.push(`  · Begins with the published weights of version ${first.version}.`);
  if (givenUp.length > 0)
    lines.push(`  · ${capital(inWords(givenUp))} taken as published: contributions were given up, as the run's retention allows.`);
  const seeded = numbersOf(versions, (found) => found.outcome === "same" && found.from === "seed");
  const computed = numbersOf(versions, (found) => found.outcome === "same" && found.from === "round");
  const back = numbersOf(versions, (found) => found.outcome === "same" && found.from === "roll-back");
  if (seeded.length > 0) lines.push(`  ✓ ${capital(inWords(seeded))} is what the specification's seed gives.`);
  if (computed.length > 0)
    lines.push(`  ✓ ${capital(inWords(computed))}: computed again from the contributions, the published hash each time.`);
  if (back.length > 0) lines.push(`  ✓ ${capital(inWords(back))}: an earlier version again, after a roll-back.`);
  if (different !== null) {
    lines.push(`  ✗ Version ${different.version} differs: ${different.detail}.`, `      published   ${different.published}`);
    if (different.recomputed !== null) lines.push(`      recomputed  ${different.recomputed}`);
  }
  if (refused !== null) lines.push(`  ✗ ${refused}`);
  else
    lines.push(
      `${same} ${same === 1 ? "version" : "versions"} recomputed in ${seconds.toFixed(1)} s${different === null ? ", all the same." : "."}`,
    );
  return lines.map(visible).join("\n");
}

async function run(name: string, options: ReplayOptions): Promise<void> {
  const results = await withSubjects(name, options, async (subjects) => {
    const all: Replayed[] = [];
    for (const subject of subjects) {
      const result = await replayed(subject, options);
      all.push(result);
      if (options.json !== true) process.stdout.write(`${all.length > 1 ? "\n" : ""}${told(result, subject.where)}\n`);
    }
    return all;
  });
  const wrong = results.filter(({ ok }) => !ok);
  if (options.json === true) process.stdout.write(`${visibleJson({ ok: wrong.length === 0, runs: results })}\n`);
  if (wrong.length > 0)
    throw new Error(
      `${wrong.map((result) => `${result.run}: ${result.different === null ? "nothing was replayed" : `version ${result.different.version} differs`}`).join("; ")}. Not reproduced.`,
    );
}

export function registerReplay(program: Command): void {
  withPlace(
    program
      .command("replay <run|file|folder>")
      .description("compute a run's weights again, version by version, and compare each with the ledger; needs no coordinator"),
  )
    .option("--from <version>", "begin with the published weights of this version", versionOf)
    .option("--to <version>", "the last version to compute", versionOf)
    .option("--json", "every version with both hashes, as JSON")
    .action(run);
}
