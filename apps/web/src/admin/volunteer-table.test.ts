import type { VolunteerView } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { shownVolunteers } from "./volunteer-table.ts";

const view = (name: string | null, speed: number | null, present = true, device = "Apple M2"): VolunteerView => ({
  volunteer: (name ?? "0").padEnd(64, "0"),
  name,
  device: { backend: "webgpu", description: device, software: false },
  present,
  blocked: false,
  samplesPerSecond: speed,
  spentMs: null,
  leasesOpen: 0,
  leasesSettled: 0,
  samples: 0,
  rejected: 0,
  expired: 0,
  stalenessLast: 0,
  stalenessMax: 0,
  joinedAtMs: 0,
  lastSeenMs: 0,
});
const all = [view("ada", 2), view("bo", 10), view("cy", null), view("di", 99, false), view("ed", 5, true, "Intel Iris Xe")];

describe("the table of volunteers", () => {
  it("sorts numbers as numbers, the unknown last, and those who left after all who are here", () => {
    expect(shownVolunteers(all, "", { key: "speed", ascending: false }).map((one) => one.name)).toEqual(["bo", "ed", "ada", "cy", "di"]);
  });
  it("sorts words as words", () => {
    expect(shownVolunteers(all, "", { key: "name", ascending: true }).map((one) => one.name)).toEqual(["ada", "bo", "cy", "ed", "di"]);
  });
  it("finds by name, key or device", () => {
    expect(shownVolunteers(all, "IRIS", { key: "name", ascending: true }).map((one) => one.name)).toEqual(["ed"]);
    expect(shownVolunteers(all, "bo0", { key: "name", ascending: true }).map((one) => one.name)).toEqual(["bo"]);
    expect(shownVolunteers(all, "nobody", { key: "name", ascending: true })).toEqual([]);
  });
});
