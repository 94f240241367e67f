// Who took part and how much, folded from the ledger. Contributors keep a fixed place, which rows of the cloth point to.
import type { DeviceInfo, LedgerEvent, VolunteerId, VolunteerView } from "@weft/protocol";
import type { LiveOverlay } from "./live.ts";
import type { RoundFold } from "./round-fold.ts";

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
}

export interface VolunteerFold {
  /** `rounds` as it was before this event. */
  apply(event: LedgerEvent, atMs: number, version: number, rounds: Pick<RoundFold, "wasLive">): void;
  nameOf(volunteer: VolunteerId): string | null;
  /** Place of a contributor in `views`; it never changes. Null for whoever has settled nothing. */
  indexOf(volunteer: VolunteerId): number | null;
  /** Contributors in the order of their first settled lease, then everybody else who is here, was refused or is blocked. */
  views(live: LiveOverlay): VolunteerView[];
  presentCount(live: LiveOverlay): number;
  everCount(): number;
}

const UNKNOWN_DEVICE: DeviceInfo = { backend: "cpu", description: "", software: false };

export function createVolunteerFold(): VolunteerFold {
  const known = new Map<VolunteerId, Counted>();
  const contributors = new Map<VolunteerId, number>();
  /** Every key that ever joined: only this grows with strangers, by one string each. */
  const ever = new Set<VolunteerId>();

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
      };
      known.set(volunteer, found);
    }
    return found;
  };
  const seen = (volunteer: VolunteerId, atMs: number): Counted => {
    const found = find(volunteer, atMs);
    found.lastSeenMs = atMs;
    return found;
  };

  const settle = (volunteer: VolunteerId, samples: number, staleness: number, atMs: number): void => {
    const counted = seen(volunteer, atMs);
    counted.leasesSettled += 1;
    counted.samples += samples;
    counted.stalenessLast = staleness;
    counted.stalenessMax = Math.max(counted.stalenessMax, staleness);
    if (!contributors.has(volunteer)) contributors.set(volunteer, contributors.size);
  };

  const isPresent = (counted: Counted, live: LiveOverlay): boolean => live.presence?.has(counted.volunteer) ?? counted.present;
  const view = (counted: Counted, live: LiveOverlay): VolunteerView => ({
    ...counted,
    present: isPresent(counted, live),
    samplesPerSecond: live.samplesPerSecond(counted.volunteer),
  });

  return {
    apply(event, atMs, version, rounds) {
      switch (event.type) {
        case "volunteer-joined": {
          ever.add(event.volunteer);
          Object.assign(seen(event.volunteer, atMs), { name: event.name, device: event.device, present: true });
          return;
        }
        case "volunteer-left": {
          const counted = seen(event.volunteer, atMs);
          counted.present = false;
          // A stranger who did nothing is only counted.
          if (counted.leasesSettled + counted.rejected + counted.expired === 0 && !counted.blocked) known.delete(event.volunteer);
          return;
        }
        case "volunteer-blocked":
        case "volunteer-unblocked":
          find(event.volunteer, atMs).blocked = event.type === "volunteer-blocked";
          return;
        case "lease-assigned":
          seen(event.volunteer, atMs).leasesOpen += 1;
          return;
        case "assignment-ended": {
          const counted = find(event.volunteer, atMs);
          counted.leasesOpen = Math.max(0, counted.leasesOpen - 1);
          if (event.reason === "expired") counted.expired += 1;
          return;
        }
        case "contribution-admitted": {
          const { volunteer, samples, lease, attempt } = event.header;
          const counted = find(volunteer, atMs);
          if (rounds.wasLive(lease, attempt)) counted.leasesOpen = Math.max(0, counted.leasesOpen - 1);
          settle(volunteer, samples, version - Number.parseInt(lease, 10), atMs);
          return;
        }
        case "contribution-refused":
          seen(event.volunteer, atMs).rejected += 1;
          return;
        default:
      }
    },
    nameOf: (volunteer) => known.get(volunteer)?.name ?? null,
    indexOf: (volunteer) => contributors.get(volunteer) ?? null,
    views(live) {
      const first = [...contributors.keys()].flatMap((volunteer) => known.get(volunteer) ?? []);
      const others = [...known.values()].filter(({ volunteer }) => !contributors.has(volunteer));
      return [...first, ...others].map((counted) => view(counted, live));
    },
    presentCount(live) {
      if (live.presence !== null) return live.presence.size;
      let present = 0;
      for (const counted of known.values()) if (counted.present) present += 1;
      return present;
    },
    everCount: () => ever.size,
  };
}
