// Who took part and how much, folded from the ledger. Contributors have fixed places in a list of bounded length, which rows of the
// cloth point to. Strangers are forgotten when they leave: keys cost nothing, so whoever settled no lease leaves nothing but counts.
import type { DeviceInfo, LedgerEvent, VolunteerId, VolunteerView } from "@weft/protocol";
import type { LiveOverlay } from "./live.ts";
import { createPlaces, MAX_PLACES } from "./places.ts";
import type { RoundFold } from "./round-fold.ts";

/** Of all volunteers a page shows so many: those with places, then others by how much they matter now. */
export const MAX_LISTED = MAX_PLACES + 100;

interface Counted {
  readonly volunteer: VolunteerId;
  name: string | null;
  device: DeviceInfo;
  present: boolean;
  blocked: boolean;
  leasesOpen: number;
  leasesSettled: number;
  samples: number;
  rejected: number;
  expired: number;
  stalenessLast: number;
  stalenessMax: number;
  readonly joinedAtMs: number;
  lastSeenMs: number;
  /** Of the newest contribution; -1 before the first. */
  lastBase: number;
}
export interface Contributor {
  readonly volunteer: VolunteerId;
  readonly name: string | null;
  readonly samples: number;
}

export interface VolunteerFold {
  /** `rounds` as it was before this event. */
  apply(event: LedgerEvent, atMs: number, version: number, rounds: Pick<RoundFold, "wasLive" | "baseOf">): void;
  nameOf(volunteer: VolunteerId): string | null;
  /**
   * Place in `views` of whoever wove a part of the version that is being published; it is theirs at least as long as the version is
   * among the rows of the cloth. MAX_LISTED, which is behind the end of `views`, for all who found no place.
   */
  indexOf(volunteer: VolunteerId): number;
  /** At most MAX_LISTED: those with places, then others who are here or blocked, then the largest contributors. */
  views(live: LiveOverlay): VolunteerView[];
  /** Everybody who settled a lease, in the order in which they first did; unlike `views` without a limit. */
  contributors(): Contributor[];
  presentCount(live: LiveOverlay): number;
  /** Contributors, and whoever else is here now. */
  everCount(live: LiveOverlay): number;
}

const UNKNOWN_DEVICE: DeviceInfo = { backend: "cpu", description: "", software: false };

export function createVolunteerFold(): VolunteerFold {
  const known = new Map<VolunteerId, Counted>();
  const contributors: Counted[] = [];
  const places = createPlaces<Counted>((counted) => ({
    keeps: counted.present,
    lastBase: counted.lastBase,
    samples: counted.samples,
  }));

  const find = (volunteer: VolunteerId, atMs: number): Counted => {
    let found = known.get(volunteer);
    if (found === undefined) {
      found = {
        volunteer,
        name: null,
        device: UNKNOWN_DEVICE,
        present: false,
        blocked: false,
        leasesOpen: 0,
        leasesSettled: 0,
        samples: 0,
        rejected: 0,
        expired: 0,
        stalenessLast: 0,
        stalenessMax: 0,
        joinedAtMs: atMs,
        lastSeenMs: atMs,
        lastBase: -1,
      };
      known.set(volunteer, found);
    }
    return found;
  };
  const forgetStranger = ({ volunteer, leasesSettled, present, blocked }: Counted): void => {
    if (leasesSettled === 0 && !present && !blocked) known.delete(volunteer);
  };

  const settle = (counted: Counted, samples: number, staleness: number, version: number): void => {
    if (counted.leasesSettled === 0) contributors.push(counted);
    counted.leasesSettled += 1;
    counted.samples += samples;
    counted.stalenessLast = staleness;
    counted.stalenessMax = Math.max(counted.stalenessMax, staleness);
    counted.lastBase = version;
    places.seat(counted, version);
  };

  const isPresent = (counted: Counted, live: LiveOverlay): boolean => live.presence?.has(counted.volunteer) ?? counted.present;
  const view = ({ lastBase: _, ...counted }: Counted, live: LiveOverlay): VolunteerView => ({
    ...counted,
    present: live.presence?.has(counted.volunteer) ?? counted.present,
    samplesPerSecond: live.samplesPerSecond(counted.volunteer),
    spentMs: live.spentMs(counted.volunteer),
  });
  /** Smaller is listed first: contributors who are here, then whom an admin may want to unblock, then new keys, then who was here once. */
  const rankOf = (counted: Counted, live: LiveOverlay): number => {
    const present = isPresent(counted, live);
    if (counted.leasesSettled > 0) return present ? 0 : 3;
    return counted.blocked ? 1 : 2;
  };

  return {
    apply(event, atMs, version, rounds) {
      switch (event.type) {
        case "volunteer-joined":
          Object.assign(find(event.volunteer, atMs), { name: event.name, device: event.device, present: true, lastSeenMs: atMs });
          return;
        case "volunteer-left": {
          const counted = find(event.volunteer, atMs);
          counted.present = false;
          counted.lastSeenMs = atMs;
          forgetStranger(counted);
          return;
        }
        case "volunteer-blocked":
          find(event.volunteer, atMs).blocked = true;
          return;
        case "volunteer-unblocked": {
          const counted = find(event.volunteer, atMs);
          counted.blocked = false;
          forgetStranger(counted);
          return;
        }
        case "lease-assigned": {
          const counted = find(event.volunteer, atMs);
          counted.leasesOpen += 1;
          counted.lastSeenMs = atMs;
          return;
        }
        case "assignment-ended": {
          const counted = known.get(event.volunteer);
          if (counted === undefined) return;
          counted.leasesOpen = Math.max(0, counted.leasesOpen - 1);
          if (event.reason === "expired") counted.expired += 1;
          return;
        }
        case "contribution-admitted": {
          const { volunteer, samples, lease, attempt } = event.header;
          const counted = find(volunteer, atMs);
          counted.lastSeenMs = atMs;
          if (rounds.wasLive(lease, attempt)) counted.leasesOpen = Math.max(0, counted.leasesOpen - 1);
          settle(counted, samples, version - (rounds.baseOf(lease, attempt) ?? version), version);
          return;
        }
        case "contribution-refused": {
          const counted = known.get(event.volunteer);
          if (counted === undefined) return;
          counted.rejected += 1;
          counted.lastSeenMs = atMs;
          return;
        }
        default:
      }
    },
    nameOf: (volunteer) => known.get(volunteer)?.name ?? null,
    indexOf(volunteer) {
      const counted = known.get(volunteer);
      return (counted === undefined ? null : places.placeOf(counted)) ?? MAX_LISTED;
    },
    views(live) {
      const placed = places.all();
      const others = [...known.values()].filter((counted) => places.placeOf(counted) === null);
      others.sort((a, b) => rankOf(a, live) - rankOf(b, live) || b.samples - a.samples);
      return [...placed, ...others.slice(0, MAX_LISTED - MAX_PLACES)].map((counted) => view(counted, live));
    },
    contributors: () => contributors.map(({ volunteer, name, samples }) => ({ volunteer, name, samples })),
    presentCount(live) {
      if (live.presence !== null) return live.presence.size;
      let present = 0;
      for (const counted of known.values()) if (counted.present) present += 1;
      return present;
    },
    everCount(live) {
      let strangers = 0;
      for (const counted of known.values()) if (counted.leasesSettled === 0 && isPresent(counted, live)) strangers += 1;
      return contributors.length + strangers;
    },
  };
}
