import { describe, expect, it } from "vitest";
import { type Codec, decode } from "./codec.ts";
import { codecNamed } from "./codecs.ts";
import { ErrorFeedback } from "./error-feedback.ts";
import { randomStream } from "./random.ts";
import { norm } from "./reduce.ts";

const SIZE = 5000;
const random = randomStream(3, 0);
const wanted = Float32Array.from({ length: SIZE }, () => random.normal() * 0.02);
const stream = (lease: number) => ({ seed: 7, lease });
const codec = (name: string): Codec => codecNamed(name) as Codec;
const proposal = (feedback: ErrorFeedback, update: Float32Array, lease: number) => {
  const proposed = feedback.propose(update, stream(lease));
  if (!proposed.ok) throw new Error(proposed.detail);
  return proposed;
};
const said = (name: string, bytes: Uint8Array): Float32Array => {
  const decoded = decode(codec(name), bytes, SIZE);
  if (!decoded.ok) throw new Error(decoded.detail);
  return decoded.update;
};

describe.each(["sign", "topk"])("error feedback on %s", (name) => {
  it("says in the long run what it was given: sent and kept add up to everything", () => {
    const feedback = new ErrorFeedback(codec(name), 1, new Float32Array(SIZE));
    const total = new Float64Array(SIZE);
    const rounds = 200;
    for (let lease = 0; lease < rounds; lease++) {
      const proposed = proposal(feedback, wanted, lease);
      for (const [at, value] of said(name, proposed.bytes).entries()) total[at] = (total[at] as number) + value;
      proposed.commit();
    }
    const kept = feedback.saved();
    const missing = Float32Array.from(total, (value, at) => value + (kept[at] as number) - rounds * (wanted[at] as number));
    // Each round rounds three f32 sums of values that stay below 200 * 0.1.
    expect(norm(missing)).toBeLessThan(rounds * 3 * 2 ** -24 * 20 * Math.sqrt(SIZE));
    // And what is kept stays bounded: the mean that was sent comes near to what was wanted.
    const mean = Float32Array.from(total, (value, at) => value / rounds - (wanted[at] as number));
    expect(norm(mean)).toBeLessThan(0.5 * norm(wanted));
    const alone = said(name, proposal(new ErrorFeedback(codec(name), 1, new Float32Array(SIZE)), wanted, 0).bytes);
    expect(norm(Float32Array.from(alone, (value, at) => value - (wanted[at] as number)))).toBeGreaterThan(0.5 * norm(wanted));
  });

  it("leaves the residual as it was where a proposal is not committed, and a resend says the same", () => {
    const feedback = new ErrorFeedback(codec(name), 0.95, wanted);
    const first = proposal(feedback, wanted, 1);
    expect(feedback.saved()).toEqual(wanted);
    expect(proposal(feedback, wanted, 1).bytes).toEqual(first.bytes);
  });

  it("goes on from a saved residual with the same bytes", () => {
    const one = new ErrorFeedback(codec(name), 0.95, new Float32Array(SIZE));
    proposal(one, wanted, 1).commit();
    const other = new ErrorFeedback(codec(name), 0.95, one.saved());
    expect(proposal(other, wanted, 2).bytes).toEqual(proposal(one, wanted, 2).bytes);
  });
});

it("error feedback refuses what its codec refuses, a residual of another size, and a second commit", () => {
  const feedback = new ErrorFeedback(codec("sign"), 1, new Float32Array(2));
  expect(feedback.propose(Float32Array.of(Number.NaN, 0), stream(0))).toMatchObject({ ok: false, fault: "not-finite" });
  expect(() => feedback.propose(new Float32Array(3), stream(0))).toThrow(RangeError);
  expect(() => new ErrorFeedback(codec("sign"), 1.5, new Float32Array(2))).toThrow(RangeError);
  const proposed = feedback.propose(Float32Array.of(1, -3), stream(0));
  if (proposed.ok) {
    proposed.commit();
    expect(() => proposed.commit()).toThrow(/once/);
  }
  expect([...feedback.saved()]).toEqual([-1, -1]);
});
