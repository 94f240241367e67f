// A wall clock that is set while runs are under way.
import { ScriptedVolunteer, TestCoordinator, trainToTheEnd, VirtualClock } from "@weft/testkit";
import { expect, test } from "vitest";
import { steadyClock } from "./steady-clock.ts";

test("a clock without monotonic time leaves out steps back", () => {
  let wallMs = 1_000;
  const clock = steadyClock({ now: () => wallMs });
  wallMs = 1_500;
  expect(clock.now()).toBe(1_500);
  wallMs = 200;
  expect(clock.now()).toBe(1_500);
  wallMs = 300;
  expect(clock.now()).toBe(1_600);
});

test("a wall clock set back by an hour in the middle of a run delays nothing: leases end, the silent leave, the run ends", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  await kit.pass(5_000);
  await ben.lease(null, 8);
  ben.disconnect();
  kit.clock.stepWall(-3_600_000);
  await kit.pass(5_000);
  const left = (await kit.records(run)).find(({ event }) => event.type === "volunteer-left");
  expect(left?.event).toMatchObject({ volunteer: ben.key, reason: "silent" });
  expect((await anna.lease(null, 8)).remainingMs).toBeLessThanOrEqual(30_000);
  await kit.pass(31_000);
  expect(anna.revoked).toMatchObject([{ reason: "expired" }]);
  await trainToTheEnd(kit, [anna], 200);
  expect(kit.coordinator.detail(run)?.phase).toBe("finished");
});

test("set forward, it ends no lease before its time", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun();
  const anna = new ScriptedVolunteer(1);
  await anna.join(kit.coordinator);
  const lease = await anna.lease(null, 8);
  kit.clock.stepWall(3_600_000);
  await kit.pass(1_000);
  expect(anna.revoked).toEqual([]);
  expect((await anna.contribute(lease)).ok).toBe(true);
});

test("a coordinator that starts with a wall clock behind its ledger goes on from the ledger's time", async () => {
  const clock = new VirtualClock();
  const kit = await TestCoordinator.start({ clock });
  const run = await kit.createRun();
  kit.abandon();
  clock.stepWall(-3_600_000);
  await kit.open();
  const anna = new ScriptedVolunteer(1);
  await anna.join(kit.coordinator);
  expect((await anna.lease(null, 8)).remainingMs).toBe(30_000);
  await kit.pass(31_000);
  expect(anna.revoked).toMatchObject([{ reason: "expired" }]);
  await trainToTheEnd(kit, [anna], 200);
  expect(kit.coordinator.detail(run)?.phase).toBe("finished");
});
