// What a volunteer may see of its own work, as plain data. The page, the terminal and the tests read it; none reaches further in.
import type { DeviceInfo, ErrorCode, SpentMs } from "@weft/protocol";
import type { SelfTest } from "./ports.ts";
import type { WeightsWay } from "./weights.ts";

/** `computing`: a lease is on the device or being encoded, throttled pauses included. `waiting`: for a lease, a verdict or a connection. */
export type Activity = keyof SpentMs;

/**
 * Why a device is not used. `wrong-values`: its self-test failed. `lost`: it could not be had, or was lost time and again.
 * `failed`: what should run it could not be loaded or broke.
 */
export type UnfitReason = "wrong-values" | "lost" | "failed";

export type VolunteerStatus =
  | { readonly state: "idle" }
  | { readonly state: "starting"; readonly step: "self-test" | "connecting" | "first-lease" | "fetching" }
  | { readonly state: "working" }
  /** The device was lost, and what it had in hand was given back. It is tried again at `retryAtMs`; null: just now. */
  | { readonly state: "recovering"; readonly detail: string; readonly retryAtMs: number | null }
  /** Connected, no lease to be had: the coordinator's own reason. */
  | { readonly state: "waiting"; readonly reason: string }
  | { readonly state: "offline"; readonly retryAtMs: number; readonly leaseKeptUntilMs: number | null }
  /** By the person, or held because the device runs on its battery or the page is frozen. */
  | {
      readonly state: "paused";
      readonly sinceMs: number;
      readonly untilMs: number | null;
      readonly reason: "you" | "battery" | "frozen";
    }
  /** The lease in hand is finished and sent, then it stops. */
  | { readonly state: "finishing" }
  | { readonly state: "stopped" }
  /** The coordinator refused for good: the code says what helps. */
  | { readonly state: "refused"; readonly code: ErrorCode; readonly message: string }
  | { readonly state: "unfit"; readonly reason: UnfitReason; readonly detail: string }
  /** Another tab of this browser is already this volunteer. */
  | { readonly state: "elsewhere" };

export interface LeaseProgress {
  readonly run: string;
  readonly version: number;
  readonly lease: string;
  /** Micro-batches done and in all. */
  readonly step: number;
  readonly steps: number;
  readonly samples: number;
  readonly deadlineAtMs: number;
  readonly phase: "fetching" | "computing" | "uploading";
}

export interface VolunteerSnapshot {
  readonly status: VolunteerStatus;
  readonly volunteer: string | null;
  readonly name: string | null;
  readonly device: DeviceInfo | null;
  readonly selfTest: SelfTest | null;
  readonly lease: LeaseProgress | null;
  /** Share of each recent admitted version that was this volunteer's, newest last: samples counted over the version's samples. */
  readonly shares: readonly { readonly run: string; readonly version: number; readonly share: number }[];
  /** Mean loss of each own lease in the run of the newest, oldest first, at most 200. */
  readonly losses: readonly number[];
  readonly steps: number;
  readonly samples: number;
  readonly admitted: number;
  readonly refused: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** How often the weights came whole, how often by deltas, and how often deltas had failed before they came whole. */
  readonly weights: Readonly<Record<WeightsWay, number>>;
  readonly samplesPerSecond: number | null;
  /** 0.25 to 1: share of wall time in which the device may be busy. */
  readonly effort: number;
  readonly startedAtMs: number | null;
  /** On what the time since the start went, up to the last change; and what it goes on since then. Null: it does not lend now. */
  readonly spentMs: SpentMs;
  readonly doing: { readonly kind: Activity; readonly sinceMs: number } | null;
  /** Milliseconds from start to each milestone, for people and for the bench. */
  readonly milestones: {
    readonly selfTestMs?: number;
    readonly connectedMs?: number;
    readonly firstLeaseMs?: number;
    readonly firstAdmittedMs?: number;
  };
  readonly lastRefusal: { readonly code: ErrorCode; readonly message: string } | null;
}
