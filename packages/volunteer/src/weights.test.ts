import { type Assignment, f32ToHex, type RunSpec } from "@weft/protocol";
import { deltaStream, deltaTowards, f32ToBytes } from "@weft/tensors";
import { describe, expect, it } from "vitest";
import { LOCAL, SPEC, type World, world } from "../test/fixture.ts";

const SIZE = 600;
const withDeltas = (spec: RunSpec): RunSpec => ({ ...spec, training: { ...spec.training, downlink: "int8" } });

interface Version {
  readonly values: Float32Array;
  readonly weights: Assignment["weights"];
}
/** Versions 0 to 5, each a delta away from the one before. */
function versionsIn(w: World): { readonly versions: readonly Version[]; readonly deltas: NonNullable<Assignment["deltas"]> } {
  const put = (values: Float32Array): Version => ({ values, weights: w.blobs.put(f32ToBytes(values)) });
  const versions = [put(new Float32Array(SIZE).fill(1))];
  const deltas: NonNullable<Assignment["deltas"]> = [];
  for (let steps = 1; steps <= 5; steps++) {
    const before = versions[steps - 1] as Version;
    const towards = before.values.map((at, index) => at + 0.01 * Math.sin(index * steps));
    const made = deltaTowards(before.values, towards, deltaStream(7, steps));
    if (made === null) throw new Error("no delta");
    deltas.push({ base: before.weights.sha256, delta: w.blobs.put(made.bytes) });
    versions.push(put(made.weights));
  }
  return { versions, deltas };
}

describe.each([
  ["gradient", SPEC, { samples: 20 }],
  ["local-steps", LOCAL, { samples: 24, learningRate: f32ToHex(0.1) }],
] as const)("weights by deltas, %s", (_mode, spec, work) => {
  /** Leases on these versions, one after another; `change` spoils the last. */
  async function visit(
    of: readonly number[],
    spoil: (w: World, last: Assignment) => Assignment = (_w, last) => last,
    from = withDeltas(spec),
  ) {
    const w = world({ size: SIZE, spec: from });
    const { versions, deltas } = versionsIn(w);
    w.volunteer.start();
    for (const [index, version] of of.entries()) {
      const { weights } = versions[version] as Version;
      const named = deltas.slice(Math.max(0, version - 3), version);
      const honest = w.lease(`${version}.${index}`, { ...work, weights, ...(named.length > 0 ? { deltas: named } : {}) });
      w.coordinator.leases.push(index === of.length - 1 ? spoil(w, honest) : honest);
      await w.until(() => w.coordinator.admitted.length > index);
    }
    const last = versions[of.at(-1) as number] as Version;
    expect(w.engines[0]?.weights).toEqual(last.values);
    expect(w.coordinator.admitted.at(-1)?.base).toBe(last.weights.sha256);
    const wholes = versions.filter(({ weights }) => w.blobs.asked.includes(weights.sha256)).length;
    return { w, wholes, ways: w.volunteer.snapshot().weights, deltas };
  }

  it("who holds the version before fetches one delta; who was away for two or three fetches as many", async () => {
    const { w, wholes, ways, deltas } = await visit([0, 1, 3, 3]);
    expect(wholes).toBe(1);
    expect(ways).toEqual({ snapshot: 1, deltas: 2, "failed-deltas": 0 });
    for (const { delta } of deltas.slice(0, 3)) expect(w.blobs.asked.filter((name) => name === delta.sha256)).toHaveLength(1);
  });

  it("who was away for more than the deltas named takes the snapshot", async () => {
    const { wholes, ways } = await visit([0, 5]);
    expect([wholes, ways]).toEqual([2, { snapshot: 2, deltas: 0, "failed-deltas": 0 }]);
  });

  it("a run without deltas is as it was", async () => {
    const { wholes, ways } = await visit([0, 1, 2], undefined, spec);
    expect([wholes, ways]).toEqual([3, { snapshot: 3, deltas: 0, "failed-deltas": 0 }]);
  });

  const spoilt = (bytes: (honest: Uint8Array) => Uint8Array) => (w: World, last: Assignment) => {
    const [step] = last.deltas?.slice(-1) ?? [];
    const honest = w.blobs.bytes.get(step?.delta.sha256 ?? "");
    if (step === undefined || honest === undefined) throw new Error("no delta");
    return { ...last, deltas: [{ ...step, delta: w.blobs.put(bytes(honest.slice())) }] };
  };
  it.each([
    [
      "is missing",
      (w: World, last: Assignment) => {
        w.blobs.bytes.delete(last.deltas?.[0]?.delta.sha256 ?? "");
        return last;
      },
    ],
    ["has another length than the model's", spoilt((bytes) => bytes.subarray(1))],
    ["has a scale that is not finite", spoilt((bytes) => Uint8Array.of(0, 0x7c, ...bytes.subarray(2)))],
    ["has a level that nobody writes", spoilt((bytes) => bytes.with(20, 0x80))],
    ["leads to other weights", spoilt((bytes) => bytes.with(20, (bytes[20] ?? 0) ^ 1))],
  ])("a delta that %s: the snapshot is taken, and it is said", async (_what, spoil) => {
    const { wholes, ways } = await visit([0, 1], spoil);
    expect([wholes, ways]).toEqual([2, { snapshot: 2, deltas: 0, "failed-deltas": 1 }]);
  });
});
