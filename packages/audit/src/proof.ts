// What a run's ledger and bytes prove, in spans of versions and in sentences. Exact: it says no more than what was checked. Knows no checks.
import type { RunSpec, VolunteerId } from "@weft/protocol";
import type { SampleCount } from "./lineage.ts";
import { retentionInWords } from "./retention.ts";

/** `recompute`: everything that made these versions is here. `given-up`: contributions are gone as the retention allows. `broken`: see the findings. */
export type Provable = "recompute" | "given-up" | "broken";
export interface VersionRange {
  readonly from: number;
  readonly to: number;
}
export interface ProvableSpan extends VersionRange {
  readonly provable: Provable;
}

/** Takes versions in rising order. */
export function addToSpans(spans: ProvableSpan[], version: number, provable: Provable): void {
  const last = spans.at(-1);
  if (last?.provable === provable && last.to === version - 1) spans[spans.length - 1] = { ...last, to: version };
  else spans.push({ from: version, to: version, provable });
}

/** Rising numbers as ranges. */
export function rangesOf(versions: readonly number[]): VersionRange[] {
  const ranges: VersionRange[] = [];
  for (const version of versions) {
    const last = ranges.at(-1);
    if (last?.to === version - 1) ranges[ranges.length - 1] = { ...last, to: version };
    else ranges.push({ from: version, to: version });
  }
  return ranges;
}

export const spanInWords = (from: number, to: number): string => (from === to ? `version ${from}` : `versions ${from} to ${to}`);
const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
const number = (value: number): string => value.toLocaleString("en-US");
const plural = (count: number, one: string, many = `${one}s`): string => `${number(count)} ${count === 1 ? one : many}`;
const list = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;

export interface Proved {
  readonly spec: RunSpec;
  readonly records: number;
  readonly signedHeads: number;
  /** Who signed the heads, from which record on. */
  readonly keys: readonly { readonly fromSeq: number; readonly key: VolunteerId }[];
  readonly keyExpected: boolean;
  readonly newest: number;
  readonly undone: readonly VersionRange[];
  readonly contributions: { readonly admitted: number; readonly kept: number; readonly givenUp: number; readonly volunteers: number };
  readonly accounting: { readonly counted: number; readonly abandoned: number; readonly waiting: number };
  readonly samples: SampleCount | null;
  readonly blobs: { readonly count: number; readonly sizeBytes: number };
  readonly data: "included" | "left-out";
  readonly shards: number;
  readonly spans: readonly ProvableSpan[];
}

/** What stands fast, in sentences; nothing but the findings where there are any is left out by the caller. */
export function statements(proved: Proved): string[] {
  return [
    ledgerStatement(proved),
    contributionStatement(proved),
    ...sampleStatements(proved),
    byteStatement(proved),
    ...spanStatements(proved),
  ];
}

function ledgerStatement({ records, signedHeads, keys, keyExpected }: Proved): string {
  const [first, ...later] = keys;
  const signers = later.reduce((text, { key, fromSeq }) => `${text}, from record ${fromSeq} on by ${key}`, `by ${first?.key ?? "nobody"}`);
  const trust = keyExpected ? "" : " Compare that key with the one that the coordinator tells you.";
  return `The ledger has ${plural(records, "record")} in one unbroken chain; its ${plural(signedHeads, "head")} are signed ${signers}.${trust}`;
}

function contributionStatement({ contributions: { admitted, kept, givenUp, volunteers }, accounting }: Proved): string {
  const fates = [
    `${number(accounting.counted)} counted in one version each`,
    ...(accounting.abandoned > 0 ? [`${number(accounting.abandoned)} given up by name with a round that was stopped or rolled back`] : []),
    ...(accounting.waiting > 0 ? [`${number(accounting.waiting)} waiting in the open round`] : []),
  ];
  const here = givenUp === 0 ? "all are here" : `${number(kept)} are here`;
  return `${plural(admitted, "contribution")}, each signed by one of ${plural(volunteers, "volunteer")}: ${list(fates)}; ${here}.`;
}

function sampleStatements({ samples, newest, undone }: Proved): string[] {
  if (samples === null) return [];
  const { from, to, pending, counted, epochs, drawn } = samples;
  const said: string[] = [];
  const but =
    pending === 0
      ? ""
      : `, but for ${plural(pending, "position")} that ${pending === 1 ? "was" : "were"} given out and ${pending === 1 ? "is" : "are"} not counted yet`;
  if (counted === 0) said.push("No sample has been counted yet.");
  else if (epochs === null)
    said.push(
      `Version ${newest} has counted positions ${number(from)} to ${number(to - 1)} of the sample stream, each exactly once${but}.`,
    );
  else {
    const { population, whole, begun } = epochs;
    const parts =
      whole === 0
        ? "none twice in an epoch"
        : `${plural(whole, "whole epoch")} of ${plural(population, "sample")}, each sample exactly once an epoch${begun > 0 ? `; and ${plural(begun, "sample")} of an epoch that is not whole, none twice` : ""}`;
    const drawing = drawn === counted ? "" : ` The first ${number(drawn)} positions were drawn, the others follow from the sampler's rule.`;
    said.push(`Version ${newest} has counted ${plural(counted, "sample")}: ${parts}${but}.${drawing}`);
  }
  if (from > 0) said.push(`Positions before ${number(from)} were counted by the run that this one goes on from.`);
  if (undone.length > 0)
    said.push(
      `${capital(list(undone.map(({ from: first, to: last }) => spanInWords(first, last))))} ${isOne(undone) ? "is" : "are"} undone: rolled back, and not in the present weights.`,
    );
  return said;
}
const isOne = (spans: readonly VersionRange[]): boolean => spans.length === 1 && spans[0]?.from === spans[0]?.to;

function byteStatement({ blobs, data, shards }: Proved): string {
  const shardText =
    data === "included"
      ? `${plural(shards, "shard")} of the data set among them`
      : "the data set's shards are left out, only their hashes are here";
  return `${plural(blobs.count, "blob")} of ${plural(blobs.sizeBytes, "byte")} have the hashes that the ledger names; ${shardText}.`;
}

export function spanStatements({ spans, spec }: Pick<Proved, "spans" | "spec">): string[] {
  return spans.flatMap(({ from, to, provable }) => {
    const which = capital(spanInWords(from, to));
    switch (provable) {
      case "recompute":
        return [`${which} can be recomputed from version ${from - 1}.`];
      case "given-up":
        return [
          `${which}: hashes and signatures hold; the contributions were given up (${retentionInWords(spec)}), so the weights cannot be recomputed.`,
        ];
      case "broken":
        return [];
      default:
        return provable satisfies never;
    }
  });
}
