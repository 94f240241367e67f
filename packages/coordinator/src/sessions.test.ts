// Who is connected, who took over from whom, who is gone and who only blinked.
import { memoryStorage } from "@weft/storage";
import { ScriptedVolunteer, TestCoordinator, TWO_CHUNK_SPEC, trainToTheEnd, unwrap } from "@weft/testkit";
import { expect, test } from "vitest";

test("a newer connection of the same key takes over: the older ends, leases stay, and the two count as one volunteer", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [tab, other] = [new ScriptedVolunteer(1), new ScriptedVolunteer(1)];
  await tab.join(kit.coordinator);
  const lease = await tab.lease(null, 2);
  const welcome = await other.join(kit.coordinator);
  await kit.clock.drain();
  expect(tab.closed).toBe(1);
  expect(kit.coordinator.volunteersNow()).toBe(1);
  expect(kit.coordinator.detail(run)?.volunteersNow).toBe(1);
  expect(welcome.open.map(({ lease: id }) => id)).toEqual([lease.lease]);
  expect(await tab.requestLease()).toMatchObject({ ok: false, code: "unavailable" });
  await kit.pass(10_000);
  expect(unwrap(await other.contribute(lease)).kind).toBe("admitted");
});

test("a connection that returns within 3 s keeps its leases; one that does not loses them to others", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  const lease = await anna.lease(null, 8);
  anna.disconnect();
  await kit.pass(2_500);
  expect((await anna.join(kit.coordinator)).open).toHaveLength(1);
  anna.disconnect();
  ben.work.length = 0;
  await kit.pass(3_500);
  expect(ben.work.length).toBeGreaterThan(0);
  const again = await ben.lease(null, 8);
  expect([again.lease, again.attempt]).toEqual([lease.lease, 2]);
  const left = (await kit.records(run)).filter(({ event }) => event.type === "volunteer-left");
  expect(left.map(({ event }) => event)).toMatchObject([{ volunteer: anna.key, reason: "silent" }]);
});

test("a hello names no lease of a version that is not on disk yet, also where lease and version are made while it waits", async () => {
  const inner = memoryStorage();
  const gates = new Map<string, Promise<void>>();
  const gate = (type: string): (() => void) => {
    let open = (): void => undefined;
    gates.set(type, new Promise((resolve) => (open = () => resolve())));
    return open;
  };
  const append: typeof inner.ledger.append = async (run, records, durability) => {
    await inner.ledger.append(run, records, durability);
    for (const { event } of records) await gates.get(event.type);
  };
  const kit = await TestCoordinator.start({
    storage: { ...inner, ledger: { runs: () => inner.ledger.runs(), read: (run, from) => inner.ledger.read(run, from), append } },
  });
  const run = await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  // Version 1.
  while (kit.coordinator.detail(run)?.version === 0) {
    const reply = unwrap(await ben.requestLease(run, 8));
    if (reply.kind === "lease") await ben.contribute(reply.assignment);
    await kit.pass(1_000);
  }
  const first = await anna.lease(null, 2);
  const bens = await ben.lease(null, 2);
  // Nothing waits for what is held back.
  kit.clock.settle = () => Promise.resolve();
  const [admit, rollBack] = [gate("contribution-admitted"), gate("run-rolled-back")];
  const answer = ben.contribute(bens);
  await kit.clock.drain();
  let welcome: Awaited<ReturnType<typeof anna.join>> | null = null;
  const hello = anna.join(kit.coordinator).then((said) => {
    welcome = said;
  });
  await kit.clock.drain();
  expect(welcome).toBeNull();
  const command = kit.coordinator.command({ type: "roll-back", run, version: 0 }, "ada");
  await kit.clock.drain();
  const request = anna.requestLease(null, 2);
  await kit.clock.drain();
  const state = kit.coordinator.inside().runs[0]?.state;
  expect([state?.version, state?.volunteers.get(anna.key)?.open.length]).toEqual([2, 1]);
  admit();
  await hello;
  expect(welcome).toMatchObject({ open: [] });
  rollBack();
  expect(await command).toMatchObject({ ok: true });
  expect(unwrap(await answer).kind).toBe("admitted");
  const given = unwrap(await request);
  expect(given).toMatchObject({ kind: "lease", assignment: { version: 2 } });
  expect(given.kind === "lease" && given.assignment.lease).not.toBe(first.lease);
});

test("a goodbye gives the leases back at once, and the volunteer may ask again later", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun();
  const anna = new ScriptedVolunteer(1);
  await anna.join(kit.coordinator);
  const lease = await anna.lease(null, 8);
  unwrap(await anna.say("leave", { reason: "pause" }));
  expect((await anna.join(kit.coordinator)).open).toEqual([]);
  expect((await anna.lease(null, 8)).attempt).toBe(lease.attempt + 1);
});

test("a goodbye said beside the connection ends it and gives its leases back at once, and holds for that connection alone", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  const first = await anna.join(kit.coordinator);
  const second = await ben.join(kit.coordinator);
  expect(first.farewell).not.toBe(second.farewell);
  const lease = await anna.lease(null, 8);
  expect(await kit.coordinator.goodbye("0".repeat(32))).toBe(false);
  expect(await kit.coordinator.goodbye(first.farewell)).toBe(true);
  expect([anna.closed, ben.closed]).toEqual([1, 0]);
  const again = await ben.lease(null, 8);
  expect([again.lease, again.attempt]).toEqual([lease.lease, 2]);
  const events = (await kit.records(run)).map(({ event }) => event);
  expect(events.filter(({ type }) => type === "volunteer-left")).toMatchObject([{ volunteer: anna.key, reason: "goodbye" }]);
  expect(events.filter(({ type }) => type === "assignment-ended")).toMatchObject([{ volunteer: anna.key, reason: "left" }]);
  // The word is spent, and what of the connection is still on its way changes nothing.
  expect(await kit.coordinator.goodbye(first.farewell)).toBe(false);
  expect(await anna.requestLease()).toMatchObject({ ok: false, code: "unavailable" });
  await kit.pass(10_000);
  expect((await kit.records(run)).filter(({ event }) => event.type === "volunteer-left")).toHaveLength(1);
  // Whoever comes back, with another page, is not sent away by the word of the first.
  const back = await anna.join(kit.coordinator);
  expect(await kit.coordinator.goodbye(first.farewell)).toBe(false);
  expect(kit.coordinator.volunteersNow()).toBe(2);
  expect(back.farewell).not.toBe(first.farewell);
});

test("the goodbye of a connection that another of the same key has replaced takes nothing from the other", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun();
  const [tab, other] = [new ScriptedVolunteer(1), new ScriptedVolunteer(1)];
  const { farewell } = await tab.join(kit.coordinator);
  const lease = await tab.lease(null, 2);
  await other.join(kit.coordinator);
  expect(await kit.coordinator.goodbye(farewell)).toBe(false);
  expect(other.closed).toBe(0);
  expect(unwrap(await other.contribute(lease)).kind).toBe("admitted");
});

test("one address has a bounded number of connections, and those beyond hear why", async () => {
  const kit = await TestCoordinator.start({ limits: { sessionsPerAddress: 2 } });
  await kit.createRun();
  const from = (seed: number, address: string) => new ScriptedVolunteer(seed, address).connect(kit.coordinator);
  const [first, second, third] = [from(1, "192.0.2.1"), from(2, "192.0.2.1"), from(3, "192.0.2.1")];
  expect((await first.hello()).ok).toBe(true);
  expect((await second.hello()).ok).toBe(true);
  expect(await third.hello()).toMatchObject({ ok: false, code: "too-many-sessions" });
  expect((await from(4, "192.0.2.2").hello()).ok).toBe(true);
  third.disconnect();
  first.disconnect();
  expect((await from(3, "192.0.2.1").hello()).ok).toBe(true);
  expect(kit.coordinator.counters()["sessions.turned-away"]).toBe(1);
  // A flood is not even challenged.
  const flood = Array.from({ length: 10 }, (_, index) => from(100 + index, "192.0.2.1"));
  expect(flood.filter(({ closed }) => closed > 0).length).toBeGreaterThan(5);
});

test("a connection that says no hello is ended", async () => {
  const kit = await TestCoordinator.start();
  const silent = new ScriptedVolunteer(1).connect(kit.coordinator);
  await kit.pass(19_000);
  expect(silent.closed).toBe(0);
  await kit.pass(2_000);
  expect(silent.closed).toBe(1);
});

test("a flood of messages is refused with the time to wait, and costs the ledger nothing; others work on", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const [eve, honest] = [new ScriptedVolunteer(666), new ScriptedVolunteer(1)];
  await eve.join(kit.coordinator);
  await honest.join(kit.coordinator);
  await eve.requestLease(null, 2);
  const before = (await kit.records(run)).length;
  const progress = { run, lease: "0.0", attempt: 1, done: 1, of: 2 };
  const replies = [];
  for (let time = 0; time < 140; time += 1) replies.push(await eve.say("progress", progress));
  const limited = replies.filter((reply) => !reply.ok && reply.code === "rate-limited");
  expect(limited.length).toBeGreaterThan(30);
  expect(limited[0]).toMatchObject({ retryAfterMs: expect.any(Number) });
  expect((await kit.records(run)).length).toBe(before);
  await kit.pass(3_000);
  expect((await eve.say("progress", { ...progress, done: 2 })).ok).toBe(true);
  expect(eve.closed).toBe(0);
  eve.disconnect();
  await trainToTheEnd(kit, [honest]);
});

test("who goes on sending in spite of being refused for it is disconnected", async () => {
  const kit = await TestCoordinator.start();
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  for (let time = 0; time < 1_000; time += 1) await eve.say("nothing", {});
  await Promise.all(Array.from({ length: 1_000 }, () => eve.requestLease()));
  expect(eve.closed).toBe(1);
  expect(kit.coordinator.volunteersNow()).toBe(0);
  expect(kit.coordinator.counters()["sessions.ended-for-rate"]).toBe(1);
});

test("a volunteer that is blocked in the middle of an upload hears that it is blocked", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun(TWO_CHUNK_SPEC);
  const eve = new ScriptedVolunteer(666);
  await eve.join(kit.coordinator);
  const contribution = eve.contribution(await eve.lease(null, 2));
  unwrap(await eve.open(contribution));
  unwrap(await eve.chunk(contribution, 0));
  unwrap(await kit.coordinator.command({ type: "block-volunteer", volunteer: eve.key }, "admin"));
  expect(await eve.chunk(contribution, 1)).toMatchObject({ ok: false, code: "blocked" });
});

test("uploads together hold no more than the cap; the place is free again when one is done or given up", async () => {
  const kit = await TestCoordinator.start({ limits: { spoolBytes: 100 } });
  await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  const [annas, bens] = [anna.contribution(await anna.lease(null, 2)), ben.contribution(await ben.lease(null, 2))];
  unwrap(await anna.open(annas));
  expect(await ben.open(bens)).toMatchObject({ ok: false, code: "spool-full" });
  expect(unwrap(await anna.chunk(annas, 0)).kind).toBe("admitted");
  unwrap(await ben.open(bens));
  const { run, lease, attempt } = bens.header;
  const next = anna.contribution(await anna.lease(null, 2));
  expect(await anna.open(next)).toMatchObject({ ok: false, code: "spool-full" });
  unwrap(await ben.say("release", { run, lease, attempt }));
  expect((await anna.open(next)).ok).toBe(true);
});

test("a coordinator that closes offers nothing more, finishes what is arriving, and ends the connections", async () => {
  const kit = await TestCoordinator.start();
  const run = await kit.createRun();
  const anna = new ScriptedVolunteer(1);
  await anna.join(kit.coordinator);
  const arriving = anna.contribute(await anna.lease(null, 2));
  const closing = kit.coordinator.close();
  expect(await anna.requestLease()).toMatchObject({ ok: false, code: "unavailable" });
  await closing;
  expect(unwrap(await arriving).kind).toBe("admitted");
  expect(anna.closed).toBe(1);
  expect((await kit.records(run)).some(({ event }) => event.type === "contribution-admitted")).toBe(true);
});

test("a coordinator that closes lets an upload end that is being sent, and waits for none that has stopped", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun(TWO_CHUNK_SPEC);
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  await ben.join(kit.coordinator);
  const [sending, stopped] = [anna.contribution(await anna.lease(null, 2)), ben.contribution(await ben.lease(null, 2))];
  for (const [volunteer, contribution] of [
    [ben, stopped],
    [anna, sending],
  ] as const) {
    unwrap(await volunteer.open(contribution));
    unwrap(await volunteer.chunk(contribution, 0));
  }
  let closed = false;
  const closing = kit.coordinator.close().then(() => {
    closed = true;
  });
  await kit.pass(1_000);
  expect(closed).toBe(false);
  expect(unwrap(await anna.chunk(sending, 1)).kind).toBe("admitted");
  await kit.pass(2_000);
  await closing;
  expect([anna.closed, ben.closed]).toEqual([1, 1]);
});

test("a volunteer whose silence was waited for already is not waited for again: its lease is free at the next tick", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun();
  const [anna, ben] = [new ScriptedVolunteer(1), new ScriptedVolunteer(2)];
  await anna.join(kit.coordinator);
  const { lease } = await anna.lease(null, 8);
  anna.session.disconnected(8_000);
  await kit.pass(500);
  await ben.join(kit.coordinator);
  expect(await ben.lease(null, 8)).toMatchObject({ lease, attempt: 2 });
});

test("an answer that comes in after its deadline counts while nobody else has settled the lease", async () => {
  const kit = await TestCoordinator.start();
  await kit.createRun(TWO_CHUNK_SPEC);
  const anna = new ScriptedVolunteer(1);
  await anna.join(kit.coordinator);
  const slow = anna.contribution(await anna.lease(null, 8));
  unwrap(await anna.open(slow));
  unwrap(await anna.chunk(slow, 0));
  await kit.pass(TWO_CHUNK_SPEC.round.deadlineMs + 5_000);
  expect(anna.revoked).toMatchObject([{ reason: "expired" }]);
  expect(unwrap(await anna.chunk(slow, 1)).kind).toBe("admitted");
});

test("a connection whose hellos stay wrong is ended", async () => {
  const kit = await TestCoordinator.start();
  const eve = new ScriptedVolunteer(666).connect(kit.coordinator);
  for (let time = 1; time <= 5; time += 1) {
    expect(eve.closed).toBe(0);
    expect(await eve.hello({ origin: "x", nonce: "0".repeat(32) })).toMatchObject({ ok: false, code: "bad-nonce" });
  }
  expect(eve.closed).toBe(1);
  expect(await eve.hello()).toMatchObject({ ok: false, code: "unavailable" });
});
