import type { LeaseView } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { abandonedWords, openRound, originWords, progressWords, retentionWords, rollBackWords, rolledBackWords } from "./lineage-words.ts";

const lease = (state: LeaseView["state"], volunteer: string | null, samples: number): LeaseView => ({
  lease: "4.0",
  samples,
  state,
  volunteer,
  progress: 0,
  deadlineAtMs: null,
});

describe("words about lineage", () => {
  it("count rounds apart from versions only where they differ", () => {
    expect(progressWords({ version: 12, steps: 12, versions: 240 })).toBe("version 12 of 240");
    expect(progressWords({ version: 1_300, steps: 81, versions: 240 })).toBe("version 1,300, round 81 of 240");
  });
  it("name where a run comes from", () => {
    expect(originWords({ change: "resume", version: 80 })).toBe("resumed from v80 of");
    expect(originWords({ change: "fork", version: 0 })).toBe("forked from v0 of");
  });
  it("say which versions a roll-back undoes", () => {
    expect(rollBackWords({ name: "digits", version: 120 }, 80)).toContain("versions 81 to 120 stay in the ledger, marked as undone");
    expect(rollBackWords({ name: "digits", version: 120 }, 80)).toMatch(
      /^Version 121 of digits gets the weights and the optimiser state of version 80/,
    );
    expect(rollBackWords({ name: "digits", version: 120 }, 119)).toContain("version 120 stays in the ledger");
  });
  it("say which versions a roll-back has undone", () => {
    const back = { version: 9, to: 3, atMs: new Date(2026, 10, 23, 12, 5).getTime(), by: "Ada" };
    expect(rolledBackWords(back, back.atMs)).toBe("Rolled back to v3 (12:05): versions 4 to 8 are undone");
    expect(rolledBackWords({ ...back, to: 7 }, back.atMs)).toBe("Rolled back to v7 (12:05): version 8 is undone");
  });
  it("count what of the open round is in, by whom", () => {
    const leases = [lease("in", "a", 64), lease("in", "a", 32), lease("in", "b", 32), lease("out", "c", 64), lease("waiting", null, 64)];
    expect(openRound(leases)).toEqual({ contributions: 3, samples: 128, people: 2 });
    expect(abandonedWords(leases)).toContain("3 contributions of the open round (128 samples by 2 people) are named");
    expect(abandonedWords(leases.slice(0, 1))).toContain("no version will count it.");
    expect(abandonedWords(leases.slice(3))).toContain("none is given up");
  });
  it("say what retention leaves to be proved", () => {
    expect(retentionWords({ retention: { contributions: "all" } }).kept).toBe("all, for good");
    expect(retentionWords({ retention: { contributions: "none" } }).provable).toContain("cannot be computed again");
    expect(retentionWords({ retention: { contributions: { versions: 1 } } }).kept).toBe("of the newest 1 version");
    expect(retentionWords({}).kept).toBe("of the newest 100 versions");
  });
});
