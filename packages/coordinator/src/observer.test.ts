// A page that applies what it is sent must hold what the coordinator holds, however slow it is and whatever happens between.
import type { Patch, RunDetail, Snapshot } from "@weft/protocol";
import { ScriptedVolunteer, TestCoordinator, TINY_SPEC, unwrap } from "@weft/testkit";
import { expect, test } from "vitest";
import { difference, ObserverFeed } from "./observer.ts";

/** Applies messages as a page does. */
class Page {
  detail: RunDetail | null = null;
  readonly runs = new Map<string, unknown>();
  readonly messages: { readonly event: string; readonly atMs: number }[] = [];
  readonly receive = (event: "snapshot" | "patch", payload: Snapshot | Patch): void => {
    const wire = structuredClone(payload);
    this.messages.push({ event, atMs: wire.atMs });
    for (const summary of wire.runs) this.runs.set(summary.run, summary);
    if (event === "snapshot") this.detail = (wire as Snapshot).detail;
    else if (this.detail !== null) {
      const { detail, append } = wire as Patch;
      const merged: Record<string, unknown> = { ...this.detail, ...detail };
      for (const [key, tail] of Object.entries(append ?? {})) merged[key] = [...(merged[key] as unknown[]), ...(tail as unknown[])];
      this.detail = merged as unknown as RunDetail;
    }
  };
}

test("snapshot and patches add up to the coordinator's own picture, with at most five patches a second", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun({ ...TINY_SPEC, training: { ...TINY_SPEC.training, versions: 20 } });
  const page = new Page();
  const feed = new ObserverFeed(kit.coordinator, page.receive);
  feed.flush(kit.clock.now());
  expect(page.messages).toEqual([]);
  expect(feed.watch(run, kit.clock.now())).toBe(true);
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  for (let turn = 0; turn < 400 && kit.coordinator.runs()[0]?.phase === "running"; turn += 1) {
    const reply = await volunteer.requestLease(null, 4);
    if (reply.ok && reply.value.kind === "lease") unwrap(await volunteer.contribute(reply.value.assignment));
    await kit.clock.advance(50);
    feed.flush(kit.clock.now());
    if (turn % 10 === 0) await kit.coordinator.tick();
  }
  await kit.clock.advance(1_000);
  feed.flush(kit.clock.now());
  expect(page.detail).toEqual(kit.coordinator.detail(run));
  expect([...page.runs.values()]).toEqual(kit.coordinator.runs());
  const patches = page.messages.filter(({ event }) => event === "patch");
  expect(patches.length).toBeGreaterThan(3);
  for (const [index, patch] of patches.entries())
    if (index > 0) expect(patch.atMs - (patches[index - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(200);
});

test("a page that takes nothing is sent nothing, and one patch with everything once it is ready", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const page = new Page();
  let isReady = false;
  const feed = new ObserverFeed(kit.coordinator, page.receive, () => isReady);
  feed.watch(run, kit.clock.now());
  const volunteer = new ScriptedVolunteer(1);
  await volunteer.join(kit.coordinator);
  for (let time = 0; time < 3; time += 1) {
    unwrap(await volunteer.contribute(await volunteer.lease(null, 2)));
    await kit.clock.advance(1_000);
    feed.flush(kit.clock.now());
  }
  expect(page.messages).toHaveLength(1);
  isReady = true;
  feed.flush(kit.clock.now());
  expect(page.messages).toHaveLength(2);
  expect(page.detail).toEqual(kit.coordinator.detail(run));
  feed.close();
  await kit.clock.advance(5_000);
  feed.flush(kit.clock.now());
  expect(page.messages).toHaveLength(2);
});

test("watching a run that is not there gives the list alone", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun();
  const page = new Page();
  const feed = new ObserverFeed(kit.coordinator, page.receive);
  expect(feed.watch("nowhere", kit.clock.now())).toBe(false);
  expect(page.detail).toBeNull();
  expect(page.runs.size).toBe(1);
});

test("a list that grew is sent as its tail, one that was thinned or rewritten is sent whole", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const detail = kit.coordinator.detail(run);
  if (detail === null) throw new Error("no detail");
  const point = (version: number) => ({ version, atMs: version, lossMean: 1, samplesSeen: version, bytesIn: 0, norm: 1 });
  const having = (...versions: number[]): RunDetail => ({ ...detail, versionPoints: versions.map(point) });
  expect(difference(having(1, 2), having(1, 2, 3))).toEqual({ detail: null, append: { versionPoints: [point(3)] } });
  expect(difference(having(1, 2, 3), having(2, 3, 4))).toEqual({ detail: null, append: { versionPoints: [point(4)] } });
  expect(difference(having(1, 2, 3, 4), having(1, 4, 5)).detail?.versionPoints).toHaveLength(3);
  expect(difference(having(1, 2), having(7, 8)).detail?.versionPoints).toHaveLength(2);
  expect(difference(having(1), having(1))).toEqual({ detail: null, append: null });
});
