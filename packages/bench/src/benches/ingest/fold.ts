// Part `fold` of bench `ingest`: K updates decoded and averaged as the closing worker and the threads beside it do it, against a pure-JavaScript
// stack-and-mean of the same and against one thread's copying of the dense bytes, by turns in one process. By the clock, since several threads
// work; of each contender its fastest turn.
import { type Codec, codecNamed, decode, randomStream } from "@weft/tensors";
import { aggregationRule } from "@weft/training";
import { wasmMean } from "@weft/wasm/fold";
import { foldThreads } from "../../../../../apps/coordinator/src/fold-threads.ts";
import type { BenchContext, Row } from "../../bench.ts";

const UPDATES = 8;
const CODECS = ["f32", "ternary"] as const;

export interface FoldPlan {
  readonly parameters: number;
  readonly turns: number;
  /** How many times faster than stack-and-mean it must be. */
  readonly faster: number;
  /** Least share of the rate of copying, for f32. */
  readonly shareOfCopy: number;
}
export const FOLD_PLANS: Readonly<Record<"full" | "short", FoldPlan>> = {
  full: { parameters: 10_000_000, turns: 7, faster: 10, shareOfCopy: 0.5 },
  short: { parameters: 400_000, turns: 5, faster: 3, shareOfCopy: 0.1 },
};

interface Update {
  readonly bytes: Uint8Array;
  readonly weight: number;
}

/** Fastest of several turns of each, taken in turn, in milliseconds. */
function fastest<Name extends string>(turns: number, contenders: Readonly<Record<Name, () => unknown>>): Record<Name, number> {
  const names = Object.keys(contenders) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, Number.POSITIVE_INFINITY])) as Record<Name, number>;
  for (let turn = 0; turn < turns; turn++)
    for (const name of names) {
      const beganMs = performance.now();
      contenders[name]();
      times[name] = Math.min(times[name], performance.now() - beganMs);
    }
  return times;
}

function updatesOf(codec: Codec, parameters: number, seed: number): Update[] {
  return Array.from({ length: UPDATES }, (_, lease) => {
    const random = randomStream(seed, lease);
    const encoded = codec.encode(
      Float32Array.from({ length: parameters }, () => random.normal() * 0.02),
      { seed, lease },
    );
    if (!encoded.ok) throw new Error(encoded.detail);
    // As the storage gives them to who closes a round.
    const bytes = new Uint8Array(new SharedArrayBuffer(encoded.bytes.length));
    bytes.set(encoded.bytes);
    return { bytes, weight: 16 + lease };
  });
}

/** As one writes it first: all updates dense, one beside the other, then the weighted mean of each parameter. */
function stackAndMean(codec: Codec, updates: readonly Update[], parameters: number): Float32Array {
  const stack = new Float32Array(updates.length * parameters);
  for (const [index, { bytes }] of updates.entries()) {
    const decoded = decode(codec, bytes, parameters);
    if (!decoded.ok) throw new Error(decoded.detail);
    stack.set(decoded.update, index * parameters);
  }
  const weights = updates.map(({ weight }) => weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = new Float32Array(parameters);
  for (let at = 0; at < parameters; at++) {
    let sum = 0;
    for (let index = 0; index < weights.length; index++) sum += (weights[index] as number) * (stack[index * parameters + at] as number);
    mean[at] = sum / total;
  }
  return mean;
}

function foldBy(rule: ReturnType<typeof aggregationRule>, codec: Codec, updates: readonly Update[], parameters: number): Float32Array {
  const fold = rule.start(parameters);
  for (const { bytes, weight } of updates) fold.add({ codec, bytes }, weight);
  const result = fold.finish();
  if (!result.ok || result.aggregate === null) throw new Error("the updates do not fold");
  return result.aggregate;
}

const differing = (a: Float32Array, b: Float32Array): number => {
  const [x, y] = [a, b].map((values) => new Uint32Array(values.buffer, values.byteOffset, values.length)) as [Uint32Array, Uint32Array];
  return x.reduce((count, word, at) => count + (word === y[at] ? 0 : 1), 0);
};

export function foldRows({ parameters, turns, faster, shareOfCopy }: FoldPlan, { seed, say }: Pick<BenchContext, "seed" | "say">): Row[] {
  const threads = foldThreads(say);
  const [mean, oneThread] = [wasmMean(threads), wasmMean()];
  const reference = aggregationRule({ kind: "mean" });
  return CODECS.flatMap((name) => {
    say(`fold of ${UPDATES} updates of ${parameters.toLocaleString("en")} parameters in ${name} ...`);
    const codec = codecNamed(name);
    if (codec === undefined) throw new Error(`there is no codec ${name}`);
    const updates = updatesOf(codec, parameters, seed);
    // Dense bytes are those of f32; the copies lie in memory that is there already.
    const copies = name === "f32" ? updates.map(({ bytes }) => bytes.slice()) : [];
    const times = fastest(turns, {
      ours: () => foldBy(mean, codec, updates, parameters),
      one: () => foldBy(oneThread, codec, updates, parameters),
      stack: () => stackAndMean(codec, updates, parameters),
      blocks: () => foldBy(reference, codec, updates, parameters),
      copy: () => {
        for (const [index, copy] of copies.entries()) copy.set((updates[index] as Update).bytes);
      },
    });
    const wrong = differing(foldBy(mean, codec, updates, parameters), foldBy(reference, codec, updates, parameters));
    const denseGigabytes = (4 * parameters * UPDATES) / 1e9;
    const of = (figure: string, value: number, unit: string, goal: Row["goal"], anchor: string): Row => ({
      figure: `fold, ${name}: ${figure}`,
      value,
      unit,
      goal,
      anchor,
    });
    const took = (ms: number): string => `${ms.toPrecision(3)} ms against ${times.ours.toPrecision(3)} ms in the same run`;
    return [
      of("faster than stack-and-mean", times.stack / times.ours, "times", { at: "least", value: faster }, took(times.stack)),
      of("faster than one thread", times.one / times.ours, "times", null, `${took(times.one)}; ${threads.count} threads`),
      of("faster than the rule in JavaScript", times.blocks / times.ours, "times", null, took(times.blocks)),
      ...(name === "f32"
        ? [of("of the rate of copying the dense bytes", times.copy / times.ours, "", { at: "least", value: shareOfCopy }, took(times.copy))]
        : []),
      of("dense bytes", denseGigabytes / (times.ours / 1000), "GB/s", null, ""),
      of("parameters that differ from the rule's bits", wrong, "", { at: "most", value: 0 }, "replay needs the same bits"),
    ];
  });
}
