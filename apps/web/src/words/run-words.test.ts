import { shortKey } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { licence, modelWords, nameOf, optimizerWords, quality, runState, scheduleWords, shortVolunteer } from "./run-words.ts";

describe("words about runs", () => {
  it("writes licences as people do", () => {
    expect(["LicenseRef-PublicDomain", "CC-BY-4.0", "CC-BY-SA-3.0", "Apache-2.0"].map(licence)).toEqual([
      "public domain",
      "CC BY 4.0",
      "CC BY-SA 3.0",
      "Apache-2.0",
    ]);
  });
  it("tells a classifier by its right answers and a text model by its loss", () => {
    expect(quality({ model: "mlp", accuracy: 0.9889, heldOutLoss: 0.05 })).toEqual({ value: "98.9 %", unit: "right" });
    expect(quality({ model: "gpt", accuracy: 0.55, heldOutLoss: 1.487 })).toEqual({ value: "1.487", unit: "loss" });
    expect(quality({ model: "LSTM of 2 layers", accuracy: 0.55, heldOutLoss: 1.5 })).toEqual({ value: "1.500", unit: "loss" });
    expect(quality({ model: "gpt", accuracy: null, heldOutLoss: null })).toBeNull();
  });
  it("says that a running run without volunteers waits", () => {
    expect(runState({ phase: "running", volunteersNow: 0, version: 0, trouble: null })).toEqual({
      shape: "wait",
      word: "waiting for its first volunteer",
    });
    expect(runState({ phase: "running", volunteersNow: 3, version: 0, trouble: null }).shape).toBe("live");
    expect(runState({ phase: "finished", volunteersNow: 3, version: 9, trouble: null }).word).toBe("finished");
  });
  it("puts trouble before all else, while the run is not over", () => {
    const trouble = { kind: "disk-full", message: "The disk is full." } as const;
    expect(runState({ phase: "running", volunteersNow: 3, version: 4, trouble })).toEqual({ shape: "fault", word: "disk full" });
    expect(runState({ phase: "finished", volunteersNow: 0, version: 9, trouble }).word).toBe("finished");
  });
  it("shortens keys exactly as the protocol does", () => {
    const key = "b3e91b0c".repeat(8);
    expect(shortVolunteer(key)).toBe(shortKey(key));
    expect(nameOf({ name: null, volunteer: key })).toBe("b3e·91b0");
    expect(nameOf({ name: "marit", volunteer: key })).toBe("marit");
  });
  it("describes models, optimisers and schedules", () => {
    expect(modelWords({ kind: "mlp", inputs: 64, hidden: [32], classes: 10 })).toBe("mlp, 64, 32, 10");
    expect(modelWords({ kind: "gpt", vocabulary: 81, context: 64, layers: 1, heads: 4, width: 64, bias: true, gelu: "exact" })).toBe(
      "gpt, 1 layer, 4 heads, width 64",
    );
    expect(modelWords({ kind: "lstm", vocabulary: 90, context: 80, embedding: 8, layers: 2, hidden: 256 })).toBe(
      "lstm, 2 layers, width 256",
    );
    expect(optimizerWords({ kind: "adamw", learningRate: 0.002, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 })).toBe(
      "AdamW, 2e-3",
    );
    expect(scheduleWords({ kind: "cosine", warmupVersions: 10, finalFraction: 0.1 })).toBe("cosine to 10 %, 10 versions of warm-up");
    expect(scheduleWords({ kind: "linear", by: "samples", warmupSamples: 1_000, samples: 50_000, finalFraction: 0 })).toBe(
      "linear to 0 % over 50,000 samples, 1,000 samples of warm-up",
    );
    expect(scheduleWords({ kind: "step", warmupVersions: 0, milestones: [100, 2_000], factor: 0.5 })).toBe(
      "times 0.5 at versions 100, 2,000",
    );
  });
});
