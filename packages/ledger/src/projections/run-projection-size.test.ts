// What a long run with many people, honest and not, leaves in the views that pages are sent. Sizes and counts, no times.
import { type ContributionHeader, f32ToHex, type LedgerEvent, type RunDetail } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { created, manifest, spec } from "../../test/story.ts";
import { ledgerOnly } from "./live.ts";
import { createRunProjection } from "./run-projection.ts";
import { MAX_LISTED } from "./volunteer-fold.ts";

const VERSIONS = 10_000;
const key = (n: number): string => n.toString(16).padStart(64, "0");
/** Names and devices as long as they may be. */
const joined = (n: number): LedgerEvent => ({
  type: "volunteer-joined",
  volunteer: key(n),
  name: `${n}`.padStart(32, "n"),
  device: { backend: "webgpu", description: "d".repeat(120), software: false },
});
const left = (n: number): LedgerEvent => ({ type: "volunteer-left", volunteer: key(n), reason: "silent" });
const loss = (version: number): string => f32ToHex(2.3 / Math.sqrt(1 + version));

function* roundOf(version: number, people: readonly number[]): Generator<LedgerEvent> {
  const learningRate = f32ToHex(0.1);
  yield { type: "round-opened", base: version, start: 16 * version, samples: 16, learningRate };
  const shares = people.map((person, index) => ({
    lease: `${version}.${index}`,
    volunteer: key(person),
    sha256: key(version),
    samples: 4,
    weight: f32ToHex(0.25),
    reason: null,
  }));
  for (const [index, { lease, volunteer, samples }] of shares.entries()) {
    yield { type: "lease-assigned", lease, attempt: 1, volunteer, start: 16 * version + 4 * index, samples, deadlineAtMs: 1.7e12 };
    const header: ContributionHeader = {
      run: "digits",
      lease,
      attempt: 1,
      volunteer,
      base: key(version),
      codec: "f32",
      samples,
      lossMean: loss(version),
      computeMs: 10,
      sizeBytes: 9_640,
      sha256: key(version),
    };
    yield { type: "contribution-admitted", header, signature: "0".repeat(128), norm: f32ToHex(0.5) };
  }
  const weights = { sha256: key(version), sizeBytes: 9_000 };
  yield {
    type: "version-published",
    version: version + 1,
    weights,
    optimizer: weights,
    learningRate,
    norm: f32ToHex(1 / 3),
    lossMean: loss(version),
    samples: 16,
    contributions: shares,
  };
  const evaluation = { lossMean: loss(version), accuracy: f32ToHex(0.9), samples: 100 };
  yield { type: "version-evaluated", version: version + 1, evaluation };
}

/** Person 0 weaves in each version; three more change every ten versions, 3,000 in all. Strangers come between, spoil, and go. */
function* longRun(): Generator<LedgerEvent> {
  yield { ...created, spec: { ...spec, checkpoints: { everyVersions: 100 } } } as LedgerEvent;
  yield joined(0);
  for (let version = 0; version < VERSIONS; version += 1) {
    const first = 1 + 3 * Math.floor(version / 10);
    const people = [0, first, first + 1, first + 2];
    if (version % 10 === 0) for (const person of people.slice(1)) yield joined(person);
    yield* roundOf(version, people);
    if (version % 10 === 9) for (const person of people.slice(1)) yield left(person);
    const stranger = 1_000_000 + version;
    yield joined(stranger);
    yield { type: "contribution-refused", volunteer: key(stranger), lease: `${version}.0`, code: "not-finite", detail: "x".repeat(500) };
    yield left(stranger);
    if (version % 100 === 99)
      yield { type: "checkpoint-written", version: version + 1, archive: { sha256: key(version), sizeBytes: 9_000 } };
  }
}

const projectionOf = (events: Iterable<LedgerEvent>, onVersion?: (version: number, detail: () => RunDetail) => void) => {
  const projection = createRunProjection();
  const live = ledgerOnly(manifest, 1.7e12);
  let seq = 0;
  for (const event of events) {
    projection.apply({ seq, atMs: 1.7e12 + seq, event, hash: key(seq), signature: null });
    seq += 1;
    if (event.type === "version-published") onVersion?.(event.version, () => projection.detail(live));
  }
  return { projection, live };
};

describe("a run of 10,000 versions of 4 contributions, 3,000 contributors and 10,000 strangers", () => {
  it("is less than 1 MB to a page, counts everybody, and its cloth points to the right people at any time", () => {
    let looks = 0;
    const { projection, live } = projectionOf(longRun(), (version, detail) => {
      if (version % 1_250 !== 0) return;
      looks += 1;
      const { cloth, volunteers } = detail();
      for (const row of cloth) {
        const first = 1 + 3 * Math.floor((row.version - 1) / 10);
        expect(row.shares.map((share) => volunteers[share.volunteer]?.volunteer)).toEqual([0, first, first + 1, first + 2].map(key));
      }
    });
    const detail = projection.detail(live);
    expect(looks).toBe(8);
    expect(JSON.stringify(detail).length).toBeLessThan(1_000_000);
    expect(detail).toMatchObject({
      settled: 4 * VERSIONS,
      volunteersNow: 1,
      volunteersEver: 3_001,
      rejectedByCode: { "not-finite": VERSIONS },
    });
    expect(detail.volunteers.length).toBeLessThanOrEqual(MAX_LISTED);
    expect(detail.volunteers[0]).toMatchObject({ volunteer: key(0), samples: 4 * VERSIONS, present: true });
    const contributors = projection.contributors();
    expect(contributors.length).toBe(3_001);
    expect(contributors.reduce((sum, { samples }) => sum + samples, 0)).toBe(16 * VERSIONS);
  });

  it("shows those who are here before those who were, and all who find no place in the cloth as one", () => {
    function* crowd(): Generator<LedgerEvent> {
      yield created;
      for (let person = 0; person < 800; person += 1) yield joined(person);
      for (let version = 0; version < 200; version += 1)
        yield* roundOf(
          version,
          [0, 1, 2, 3].map((index) => 4 * version + index),
        );
      for (let person = 0; person < 790; person += 1) yield left(person);
      for (let person = 0; person < 50; person += 1) yield joined(10_000 + person);
    }
    const { projection, live } = projectionOf(crowd());
    const { volunteers, volunteersEver, cloth } = projection.detail(live);
    expect(volunteers.length).toBe(MAX_LISTED);
    expect(volunteers.slice(0, 400).map(({ volunteer }) => volunteer)).toEqual(Array.from({ length: 400 }, (_, person) => key(person)));
    expect(volunteers.slice(400, 460).map(({ present, leasesSettled }) => [present, leasesSettled])).toEqual([
      ...Array.from({ length: 10 }, () => [true, 1]),
      ...Array.from({ length: 50 }, () => [true, 0]),
    ]);
    expect(volunteersEver).toBe(850);
    expect(cloth[99]?.shares).toEqual([396, 397, 398, 399].map((volunteer) => ({ volunteer, samples: 4 })));
    expect(cloth[100]?.shares).toEqual([{ volunteer: MAX_LISTED, samples: 16 }]);
  });
});
