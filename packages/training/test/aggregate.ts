// Encoded updates for the tests of rules.
import { codecNamed } from "@weft/tensors";
import type { AggregationRule, EncodedUpdate } from "../src/rules/aggregation-rule.ts";

export function encodedF32(values: Iterable<number>): EncodedUpdate {
  const codec = codecNamed("f32");
  const encoded = codec?.encode(Float32Array.from(values), { seed: 0, lease: 0 });
  if (codec === undefined || !encoded?.ok) throw new Error("not encoded");
  return { codec, bytes: encoded.bytes };
}

export function aggregateBy(rule: AggregationRule, updates: readonly (readonly [Iterable<number>, number])[]): number[] | null {
  const size = [...(updates[0]?.[0] ?? [])].length;
  const fold = rule.start(size);
  for (const [update, weight] of updates) {
    const refused = fold.add(encodedF32(update), weight);
    if (refused !== null) throw new Error(refused.detail);
  }
  const result = fold.finish();
  if (!result.ok) throw new Error(result.detail);
  return result.aggregate === null ? null : [...result.aggregate];
}
