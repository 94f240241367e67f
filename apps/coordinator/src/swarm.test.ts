// The load tool against a real coordinator: it ends by itself, and its totals are those that the coordinator counted.
import { runSwarm } from "@weft/testkit/swarm";
import { expect, test, vi } from "vitest";
import { digitsRun } from "./demonstration.ts";
import { startTestCoordinator } from "./test/harness.ts";

vi.setConfig({ testTimeout: 60_000 });

test("a synthetic swarm with drop-outs ends at its duration, with the totals of the coordinator", async () => {
  const coordinator = await startTestCoordinator();
  try {
    const core = coordinator.started.coordinator;
    expect((await core.createRun(digitsRun(), "test")).ok).toBe(true);
    const report = await runSwarm({
      url: coordinator.origin,
      volunteers: 5,
      synthetic: true,
      seed: 3,
      durationMs: 4_000,
      speeds: { median: 500, sigma: 0.5 },
      dropOuts: 0.2,
      latencyMs: 5,
      run: "digits",
    });
    expect(report.durationMs).toBeGreaterThanOrEqual(4_000);
    expect(report.connections).toBeGreaterThanOrEqual(5);
    expect(report.admitted).toBeGreaterThan(0);
    expect(report.leases).toBeGreaterThanOrEqual(report.admitted);
    // What was admitted in the last moment may not have been heard of any more.
    expect(core.counters()["contributions.admitted"]).toBeGreaterThanOrEqual(report.admitted);
    expect(Object.values(report.states).reduce((sum, count) => sum + count, 0)).toBe(5);
    // Who dropped out before anything of it counted is not remembered.
    expect(core.detail("digits")?.volunteersEver).toBeGreaterThan(0);
    expect(core.detail("digits")?.volunteersEver).toBeLessThanOrEqual(5);
  } finally {
    await coordinator.end();
  }
});
