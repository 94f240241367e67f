// Sorting and finding volunteers. Pure; knows no table.
import type { VolunteerView } from "@weft/protocol";
import { nameOf } from "../words/run-words.ts";

export type SortKey =
  | "name"
  | "key"
  | "device"
  | "backend"
  | "speed"
  | "leases"
  | "staleness"
  | "settled"
  | "rejected"
  | "expired"
  | "samples"
  | "since";

const BACKENDS = { webgpu: "WebGPU", wasm: "WASM", cpu: "CPU", synthetic: "synthetic" } as const;
export const backendOf = ({ device }: VolunteerView): string =>
  `${BACKENDS[device.backend]}${device.software && device.backend === "webgpu" ? ", software" : ""}`;

/** What a column sorts by. A number that is not known sorts below all that are. */
function sortValue(view: VolunteerView, key: SortKey): string | number {
  switch (key) {
    case "name":
      return nameOf(view).toLowerCase();
    case "key":
      return view.volunteer;
    case "device":
      return view.device.description.toLowerCase();
    case "backend":
      return backendOf(view);
    case "speed":
      return view.samplesPerSecond ?? -1;
    case "leases":
      return view.leasesOpen;
    case "staleness":
      return view.stalenessLast;
    case "settled":
      return view.leasesSettled;
    case "rejected":
      return view.rejected;
    case "expired":
      return view.expired;
    case "samples":
      return view.samples;
    case "since":
      return view.joinedAtMs;
    default:
      return key satisfies never;
  }
}

export interface Order {
  readonly key: SortKey;
  readonly ascending: boolean;
}

/** Those who are here first; among equals the order of joining stays. */
export function shownVolunteers(volunteers: readonly VolunteerView[], find: string, { key, ascending }: Order): readonly VolunteerView[] {
  const wanted = find.trim().toLowerCase();
  const matches = (view: VolunteerView): boolean =>
    wanted === "" ||
    `${view.name ?? ""} ${nameOf(view)} ${view.volunteer} ${view.device.description} ${backendOf(view)}`.toLowerCase().includes(wanted);
  return volunteers.filter(matches).sort((a, b) => {
    if (a.present !== b.present) return a.present ? -1 : 1;
    const [x, y] = [sortValue(a, key), sortValue(b, key)];
    const compared = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return ascending ? compared : -compared;
  });
}
