import { type ContributionHeader, f32ToHex } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { effectOf, headerOf, key, kindsOf, openDesk, SIGNATURE, specOf, typesOf, verdictOf } from "../test/desk.ts";
import { checkContribution } from "./admission.ts";

describe("admission", () => {
  it("admits a valid answer, says so, and counts its samples", () => {
    const desk = openDesk([1, 2]);
    const decision = desk.answer(desk.take(1));
    expect(typesOf(decision)).toEqual(["contribution-admitted"]);
    expect(effectOf(decision.effects, "verdict")).toMatchObject({
      volunteer: key(1),
      lease: "0.0",
      attempt: 1,
      verdict: { ok: true, version: 1 },
    });
    expect(desk.state.round?.samplesIn).toBe(4);
  });

  it.each([
    ["unknown-run", { run: "other" }],
    ["unknown-lease", { lease: "0.7" }],
    ["unknown-lease", { lease: "5.0" }],
    ["not-your-lease", { attempt: 2 }],
    ["not-your-lease", { volunteer: key(2) }],
    ["stale", { base: "9".repeat(64) }],
    ["wrong-codec", { codec: "int8" }],
    ["wrong-sample-count", { samples: 5 }],
    ["not-finite", { lossMean: f32ToHex(Number.NaN) }],
    ["not-finite", { lossMean: f32ToHex(Number.POSITIVE_INFINITY) }],
  ] as const)("refuses with %s where the header says %o, and tells the ledger", (code, changes: Partial<ContributionHeader>) => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1);
    const before = desk.state.round?.samplesIn;
    const decision = desk.answer(given, changes);
    expect(verdictOf(decision)).toBe(code);
    expect(decision.events).toContainEqual(expect.objectContaining({ type: "contribution-refused", code }));
    expect(desk.state.round?.samplesIn).toBe(before);
    expect(checkContribution(desk.state, { ...headerOf(desk, given), ...changes })).not.toBeNull();
  });

  it("frees the lease of an answer whose content is wrong, and leaves it where somebody else forged the answer", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1);
    desk.answer(given, { volunteer: key(2) });
    expect(desk.state.round?.out.has(given.lease)).toBe(true);
    expect(kindsOf(desk.answer(given, { samples: 5 }))).toEqual(["verdict", "announce"]);
    expect(desk.state.round?.waiting.has(given.lease)).toBe(true);
    expect(verdictOf(desk.answer(given))).toBe("lease-expired");
  });

  it("refuses an update whose norm is not finite", () => {
    const desk = openDesk([1]);
    const header = headerOf(desk, desk.take(1));
    const decision = desk.send({ kind: "contribution", header, signature: SIGNATURE, norm: Number.NaN });
    expect(verdictOf(decision)).toBe("not-finite");
  });

  it("counts a late answer while its lease is unsettled, even when the lease was given to another", () => {
    const desk = openDesk([1, 2]);
    const given = desk.take(1);
    desk.pass(10_000);
    desk.send({ kind: "tick" });
    const again = desk.take(2);
    expect(again.lease).toBe(given.lease);
    const decision = desk.answer(given);
    expect(verdictOf(decision)).toBe("admitted");
    expect(effectOf(decision.effects, "revoke")).toMatchObject({ volunteer: key(2), reason: "settled-by-another" });
    expect(verdictOf(desk.answer(again))).toBe("lease-settled");
  });

  it("counts an answer of a volunteer who left in the meantime, but not one to a lease it gave back", () => {
    const desk = openDesk([1, 2]);
    const left = desk.take(1);
    desk.send({ kind: "leave", volunteer: key(1), reason: "silent" });
    expect(verdictOf(desk.answer(left))).toBe("admitted");
    const released = desk.take(2);
    desk.send({ kind: "release", volunteer: key(2), lease: released.lease, attempt: released.attempt });
    expect(verdictOf(desk.answer(released))).toBe("lease-expired");
  });

  it("calls the same bytes again a duplicate, also after the version is out, and writes nothing down for it", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 4 }));
    const given = desk.take(1);
    desk.answer(given);
    for (let round = 0; round < 2; round += 1) {
      const decision = desk.answer(given, { base: given.weights.sha256 });
      expect(verdictOf(decision)).toBe("duplicate");
      expect(decision.events).toEqual([]);
      desk.close();
    }
  });

  it("calls other bytes for a settled lease settled, and an answer to an older version stale", () => {
    const desk = openDesk([1], specOf({ samplesPerVersion: 4 }));
    const given = desk.take(1);
    desk.answer(given);
    expect(verdictOf(desk.answer(given, { sha256: "1".repeat(64) }))).toBe("lease-settled");
    desk.close();
    expect(verdictOf(desk.answer(given, { sha256: "1".repeat(64) }))).toBe("stale");
  });

  it("admits while the run is paused and refuses when it is stopped", () => {
    const desk = openDesk([1, 2]);
    const [first, second] = [desk.take(1), desk.take(2)];
    desk.send({ kind: "pause", by: "admin" });
    expect(verdictOf(desk.answer(first))).toBe("admitted");
    const stop = desk.send({ kind: "stop", by: "admin" });
    expect(effectOf(stop.effects, "revoke")).toMatchObject({ lease: second.lease, reason: "round-closed" });
    expect(verdictOf(desk.answer(second))).toBe("run-not-active");
  });

  it("ends an assignment for a refusal that cannot be mended, and keeps it where the same bytes may be sent again", () => {
    const desk = openDesk([1]);
    const given = desk.take(1);
    const refused = { kind: "refused", volunteer: key(1), lease: given.lease, attempt: 1, detail: "x".repeat(900) } as const;
    expect(typesOf(desk.send({ ...refused, code: "wrong-hash" }))).toEqual(["contribution-refused"]);
    expect(typesOf(desk.send({ ...refused, volunteer: key(2), code: "wrong-length" }))).toEqual(["contribution-refused"]);
    expect(typesOf(desk.send({ ...refused, code: "wrong-length" }))).toEqual(["assignment-ended", "contribution-refused"]);
    const [event] = desk.send({ ...refused, lease: "../../etc", code: "bad-payload" }).events;
    expect(event).toMatchObject({ lease: null, detail: "x".repeat(500) });
  });
});
