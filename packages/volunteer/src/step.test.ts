import { CHUNK_WINDOW, ERROR_CODES, type ErrorCode, MAX_OPEN_ASSIGNMENTS, ok, PROTOCOL_VERSION, type Result, refuse } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SPEC, world } from "../test/fixture.ts";
import { spentAt } from "./spending.ts";
import { type Effect, type Input, initialState, jobKey, type VolunteerState } from "./state.ts";
import { snapshotOf } from "./status.ts";
import { nextWakeMs, step } from "./step.ts";

const DEVICE = { backend: "cpu" as const, description: "fake", software: false };
const codes = Object.keys(ERROR_CODES) as ErrorCode[];
const w = world();

/** A driver that answers effects as chance has it, right or wrong, late, twice or never. `dice` in [0, 1). */
function drive(seed: number, turns: number, dice: () => number): { state: VolunteerState; effects: number } {
  let state = initialState({ volunteer: "ab".repeat(32), name: null, effort: 1, seed });
  let now = 0;
  let effects = 0;
  const pending: Effect[] = [];
  const chance = (p: number): boolean => dice() < p;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(dice() * list.length)] as T;
  const fetched = (key: string, samples: number): Input => ({
    kind: "fetched",
    key,
    plan: { samples, piece: SPEC.training.microBatch, stride: samples },
    samplesPerVersion: chance(0.5) ? 40 : null,
    ahead: chance(0.5),
  });
  const maybe = <T>(value: T): Result<T> =>
    chance(0.85) ? ok(value) : refuse(pick(codes.filter((code) => ERROR_CODES[code].retry)), "no");
  const answer = (effect: Effect): Input | null => {
    switch (effect.kind) {
      case "test-device":
        return chance(0.95)
          ? { kind: "tested", selfTest: { passed: true, relativeError: 0, detail: "" }, device: DEVICE }
          : { kind: "device-lost", key: null, detail: "lost" };
      case "connect":
        return chance(0.8) ? { kind: "connected", epoch: effect.epoch } : { kind: "disconnected", epoch: effect.epoch, reason: "no" };
      case "say-hello":
        return { kind: "welcome", epoch: effect.epoch, reply: maybe(state.jobs.filter(() => chance(0.7)).map((job) => job.assignment)) };
      case "request-lease": {
        const lease = `${Math.floor(dice() * 3)}.${Math.floor(dice() * 5)}`;
        const assignment = { ...w.lease(lease), attempt: 1 + Math.floor(dice() * 2), samples: 1 + Math.floor(dice() * 40) };
        const reply = chance(0.7)
          ? { kind: "lease" as const, assignment }
          : { kind: "none" as const, reason: "none", retryAfterMs: dice() * 1e5 };
        return { kind: "lease-reply", epoch: effect.epoch, reply: maybe(reply) };
      }
      case "fetch":
        return chance(0.9)
          ? fetched(effect.key, effect.assignment.samples)
          : { kind: "job-failed", key: effect.key, fault: { code: "wrong-hash", message: "no" } };
      case "compute":
        return chance(0.97)
          ? { kind: "computed", key: effect.key, to: effect.to, lossSum: 1, busyMs: 5 }
          : { kind: "device-lost", key: effect.key, detail: "lost" };
      case "pack":
        return { kind: "packed", key: effect.key, sizeBytes: 1 + Math.floor(dice() * 3_000_000) };
      case "open-upload":
        return { kind: "upload-opened", epoch: effect.epoch, key: effect.key, reply: maybe(Math.floor(dice() * 12)) };
      case "send-chunk": {
        const value = chance(0.3) ? { kind: "admitted" as const, version: 1 } : { kind: "received" as const, nextChunk: effect.index + 1 };
        return { kind: "chunk-acked", epoch: effect.epoch, key: effect.key, index: effect.index, reply: maybe(value) };
      }
      case "disconnect":
      case "release":
      case "progress":
      case "discard":
      case "free-device":
        return null;
      default:
        return effect satisfies never;
    }
  };
  const feed = (input: Input): void => {
    const next = step(state, input, now);
    state = next.state;
    effects += next.effects.length;
    // Invariants.
    expect(state.jobs.length).toBeLessThanOrEqual(MAX_OPEN_ASSIGNMENTS);
    expect(new Set(state.jobs.map(({ key }) => key)).size).toBe(state.jobs.length);
    const onDevice = state.jobs.filter(({ phase }) => phase.kind !== "uploading");
    const atOnce = onDevice.some(({ ahead }) => ahead) ? 2 : 1;
    if (onDevice.length > atOnce || onDevice.filter(({ phase }) => phase.kind === "computing").length > 1) expect(onDevice).toEqual([]);
    const spent = Object.values(spentAt(state, now)).reduce((sum, each) => sum + each, 0);
    // A rounding each time that it changes.
    if (state.startedAtMs !== null && spent > now - state.startedAtMs + effects) expect(spent).toBe(now - state.startedAtMs);
    for (const { phase } of state.jobs)
      if (phase.kind === "uploading" && phase.stage.kind === "sending") {
        expect(phase.stage.sent - phase.stage.acked).toBeLessThanOrEqual(CHUNK_WINDOW);
        expect(phase.stage.sent).toBeLessThanOrEqual(phase.chunks);
      }
    if (state.mode.kind !== "running" && state.mode.kind !== "finishing") {
      expect(state.jobs).toEqual([]);
      expect(state.link.kind).toBe("down");
    }
    if (state.holds.frozen !== undefined) expect(state.jobs).toEqual([]);
    for (const effect of next.effects) {
      if (effect.kind === "request-lease") expect(state.mode.kind).toBe("running");
      if (effect.kind === "compute" || effect.kind === "send-chunk") expect(state.jobs.some(({ key }) => key === effect.key)).toBe(true);
      if (effect.kind === "disconnect") pending.splice(0, pending.length, ...pending.filter(() => chance(0.5)));
    }
    expect(snapshotOf(state).status.state).toBeTypeOf("string");
    pending.push(...next.effects);
  };
  feed({ kind: "start", run: null });
  for (let turn = 0; turn < turns; turn++) {
    const { epoch } = state;
    if (chance(0.02))
      feed(
        pick<Input>([
          { kind: "pause", untilMs: now + 5_000 },
          { kind: "resume" },
          { kind: "hold", reason: "frozen" },
          { kind: "unhold", reason: "frozen" },
          { kind: "effort", effort: dice() * 2 },
          { kind: "name", name: "Ada" },
        ]),
      );
    else if (chance(0.01)) feed(pick<Input>([{ kind: "finish" }, { kind: "stop" }]));
    else if (chance(0.019)) feed({ kind: "disconnected", epoch, reason: "cut" });
    else if (chance(0.021)) feed({ kind: "work", epoch, run: "tiny" });
    else if (chance(0.022))
      feed({
        kind: "revoked",
        epoch,
        key: pick([...state.jobs.map(({ key }) => key), jobKey({ run: "x", lease: "0.0", attempt: 1 })]),
        reason: "gone",
      });
    else if (state.link.kind === "opening" && state.link.stage === "challenge")
      feed({ kind: "challenged", epoch, protocol: PROTOCOL_VERSION });
    else if (pending.length > 0) {
      const effect = pending.splice(chance(0.8) ? 0 : Math.floor(dice() * pending.length), 1)[0] as Effect;
      const input = answer(effect);
      if (input !== null) {
        feed(input);
        if (chance(0.05)) feed(input);
      }
    } else {
      const wakeMs = nextWakeMs(state);
      now = wakeMs === null ? now + 1_000 : Math.max(now + 1, wakeMs);
      if (["stopped", "refused", "unfit"].includes(state.mode.kind)) feed({ kind: "start", run: null });
      else feed({ kind: "tick" });
    }
  }
  return { state, effects };
}

const mulberry = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) >>> 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};

describe("step", () => {
  it("keeps its promises under answers that are late, doubled, missing or wrong", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seed) => {
        drive(seed, 400, mulberry(seed));
      }),
      { numRuns: 60, seed: 20 },
    );
  }, 30_000);

  it("gets on: among such volunteers contributions are admitted, and the same seed gives the same life", () => {
    const lives = Array.from({ length: 10 }, (_, seed) => drive(seed, 600, mulberry(seed)).state);
    expect(lives.reduce((sum, { admitted }) => sum + admitted, 0)).toBeGreaterThan(10);
    expect(drive(3, 600, mulberry(3)).state).toEqual(lives[3]);
  }, 30_000);

  it("does nothing on a tick before its time, and always names the time", () => {
    let state = initialState({ volunteer: "ab".repeat(32), name: null, effort: 1, seed: 1 });
    expect(nextWakeMs(state)).toBeNull();
    state = step(state, { kind: "start", run: null }, 0).state;
    state = step(state, { kind: "tested", selfTest: { passed: true, relativeError: 0, detail: "" }, device: DEVICE }, 5).state;
    const wakeMs = nextWakeMs(state) as number;
    expect(step(state, { kind: "tick" }, wakeMs - 1)).toEqual({ state, effects: [] });
    expect(step(state, { kind: "tick" }, wakeMs).effects.map(({ kind }) => kind)).toEqual(["disconnect"]);
  });
});
