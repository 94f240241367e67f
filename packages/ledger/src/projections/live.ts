// What the ledger cannot say: the coordinator's view of this moment, laid over a projection when it is read. Data only.
import type { DatasetManifest, LeaseId, RunRates, SpentMs, TroubleView, VolunteerId } from "@weft/protocol";

export interface LiveOverlay {
  readonly nowMs: number;
  /** Who is connected now; null: as the ledger says. */
  readonly presence: ReadonlySet<VolunteerId> | null;
  /** Part of an assignment that is computed, 0 to 1, as its volunteer reports it. */
  progress(lease: LeaseId, attempt: number): number;
  /** Measured speed, null while unknown. */
  samplesPerSecond(volunteer: VolunteerId): number | null;
  /** On what its time goes, null while unknown. */
  spentMs(volunteer: VolunteerId): SpentMs | null;
  readonly rates: RunRates;
  /** Why the round waits, in the coordinator's words. */
  readonly reason: string;
  readonly trouble: TroubleView | null;
  readonly manifest: DatasetManifest;
}

/** An overlay for readers without a coordinator: nobody is measured, nothing moves. */
export const ledgerOnly = (manifest: DatasetManifest, nowMs: number): LiveOverlay => ({
  nowMs,
  presence: null,
  progress: () => 0,
  samplesPerSecond: () => null,
  spentMs: () => null,
  rates: { versionsPerMinute: 0, samplesPerSecond: 0, bytesInPerSecond: 0, bytesOutPerSecond: 0, remainingMs: null },
  reason: "",
  trouble: null,
  manifest,
});
