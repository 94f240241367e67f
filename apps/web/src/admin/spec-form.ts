// The text of a specification into a specification: JSON first, then the protocol's own rules. Knows no component and no route.
import { MAX_SPEC_BYTES, type RunSpec, type SpecProblem, specProblems } from "@weft/protocol";

/** A good specification to start from: digits in a quarter of an hour on one slow machine. */
export const EXAMPLE: RunSpec = {
  format: "weft-run/1",
  name: "digits again",
  description: "Reads one handwritten digit, 8 by 8 pixels.",
  license: "Apache-2.0",
  seed: 7,
  dataset: "digits",
  sampler: { kind: "epoch" },
  model: { kind: "mlp", inputs: 64, hidden: [32], classes: 10 },
  training: {
    mode: "gradient",
    versions: 240,
    samplesPerVersion: 256,
    microBatch: 32,
    rule: { kind: "mean" },
    optimizer: { kind: "adamw", learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: "cosine", warmupVersions: 10, finalFraction: 0.1 },
    codec: "f32",
  },
  round: { leaseMs: 3000, deadlineMs: 30_000, maxStaleness: 0 },
  evaluation: { everyVersions: 10, samples: 360 },
  checkpoints: { everyVersions: 60 },
  retention: { contributions: { versions: 100 } },
};

const MAX_NAME_CHARACTERS = 32;
/** `name` with a word behind it, cut where both together are too long for a name. */
export function nameAfter(name: string, word: string): string {
  const room = MAX_NAME_CHARACTERS - word.length - 1;
  return `${[...name].slice(0, room).join("").trimEnd()} ${word}`;
}

export type SpecText = { readonly ok: true; readonly spec: unknown } | { readonly ok: false; readonly problems: readonly SpecProblem[] };

/** Where a text stops being JSON, as far as the browser says: some give a position, some a line, some neither. */
export function whereIn(text: string, message: string): string {
  const line = /line (\d+)/.exec(message)?.[1];
  const position = /position (\d+)/.exec(message)?.[1];
  if (line !== undefined) return `line ${line}`;
  return position === undefined ? "(the whole)" : `line ${text.slice(0, Number(position)).split("\n").length}`;
}

export function readSpec(text: string): SpecText {
  if (new TextEncoder().encode(text).length > MAX_SPEC_BYTES)
    return {
      ok: false,
      problems: [
        { field: "(the whole)", rule: `must be at most ${MAX_SPEC_BYTES / 1024} KB of text`, good: "a specification of under 4 KB" },
      ],
    };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    const rule = message === "" ? "is not JSON" : `is not JSON (${message})`;
    const good = "names and words in double quotes, a comma between fields, none after the last";
    return { ok: false, problems: [{ field: whereIn(text, message), rule, good }] };
  }
  const problems = specProblems(value);
  return problems.length === 0 ? { ok: true, spec: value } : { ok: false, problems };
}
