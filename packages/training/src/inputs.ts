// What may happen to a run (Input) and what its shell must do about it (Effect). Both are data; neither is stored.
// Events, which are stored, stand in @weft/protocol.
import type {
  AssignmentEnd,
  BlobRef,
  CodecName,
  ContributionHeader,
  DeltaStep,
  DeviceInfo,
  ErrorCode,
  Evaluation,
  EventOf,
  F32Hex,
  LeaseId,
  LedgerEvent,
  Signature,
  VolunteerId,
} from "@weft/protocol";
import type { VersionPoint } from "./state.ts";

export type Input =
  | { readonly kind: "pause" | "resume" | "stop"; readonly by: string }
  /** This coordinator keeps the ledger from now on. */
  | { readonly kind: "adopt"; readonly coordinator: VolunteerId }
  /** `point` is an earlier version of this run as its ledger has it, and its blobs are there. */
  | { readonly kind: "roll-back"; readonly by: string; readonly point: VersionPoint }
  | { readonly kind: "block" | "unblock"; readonly volunteer: VolunteerId; readonly by: string }
  | { readonly kind: "join"; readonly volunteer: VolunteerId; readonly name: string | null; readonly device: DeviceInfo }
  | { readonly kind: "leave"; readonly volunteer: VolunteerId; readonly reason: "goodbye" | "silent" | "restart" }
  /** `arriving`: leases whose answer is being sent at this moment. Nobody else is given them: what is on its way shall not be in vain. */
  | {
      readonly kind: "request-lease";
      readonly volunteer: VolunteerId;
      readonly samplesPerSecond: number | null;
      readonly arriving?: ReadonlySet<LeaseId>;
    }
  | { readonly kind: "release"; readonly volunteer: VolunteerId; readonly lease: string; readonly attempt: number }
  /** The upload is whole, its signature, hash and length are right, it decoded to finite values, and its bytes are queued for the disk. */
  | { readonly kind: "contribution"; readonly header: ContributionHeader; readonly signature: Signature; readonly norm: number }
  /** Something was refused before it became a contribution (wrong hash, not finite, ...). */
  | {
      readonly kind: "refused";
      readonly volunteer: VolunteerId;
      readonly lease: string | null;
      readonly attempt: number | null;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  /** The closing worker has made version base + 1; all its blobs are on disk. */
  | {
      readonly kind: "closed";
      readonly base: number;
      readonly weights: BlobRef;
      /** Absent or null where the weights are published without one. */
      readonly delta?: BlobRef | null;
      readonly optimizer: BlobRef;
      readonly norm: number;
      readonly lossMean: number;
    }
  | { readonly kind: "evaluated"; readonly version: number; readonly evaluation: Evaluation }
  | { readonly kind: "checkpointed"; readonly version: number; readonly archive: BlobRef }
  /**
   * Sent at least once a second, and once after start-up. `upSinceMs` is when this process began to serve: volunteers whom the ledger
   * calls present but who have not joined since then leave 15 s after it (RESTART_GRACE_MS).
   */
  | { readonly kind: "tick"; readonly upSinceMs?: number };

export interface AssignmentGiven {
  readonly lease: string;
  readonly attempt: number;
  readonly volunteer: VolunteerId;
  /** Version on which the update is computed. */
  readonly version: number;
  readonly weights: BlobRef;
  /** What leads to these weights from those of a few versions before; absent where there are none. */
  readonly deltas?: readonly DeltaStep[];
  readonly start: number;
  readonly samples: number;
  readonly codec: CodecName;
  /** Of the local steps; absent in `gradient` mode. */
  readonly learningRate?: F32Hex;
  readonly deadlineAtMs: number;
}

/** What the closing worker needs; `contributions` in canonical order. `optimizer` is null where the base has none. */
export interface CloseRound {
  readonly base: number;
  readonly weights: BlobRef;
  /** Rounds behind the base's weights. */
  readonly steps: number;
  readonly optimizer: BlobRef | null;
  readonly learningRate: number;
  readonly contributions: readonly {
    readonly lease: string;
    readonly volunteer: VolunteerId;
    readonly sha256: string;
    readonly samples: number;
    readonly codec: string;
    readonly lossMean: number;
    /** What it counts, of 1 in all, an exact f32; absent in `gradient` mode, where that is its samples. */
    readonly weight?: number;
  }[];
}

/**
 * Effects are carried out only after the decision's events are stored (durably, where an event is a promise to somebody).
 * `close-round`, `evaluate` and `checkpoint` are owed until their answer (`closed`, `evaluated`, `checkpointed`) is decided: every
 * tick names what is still owed, so that nothing is lost by a crash. The shell therefore ignores one that it has under way. A
 * checkpoint of a version that is also to be evaluated is asked for once the evaluation is in, so that its card can quote it.
 */
export type Effect =
  | { readonly kind: "assign"; readonly assignment: AssignmentGiven }
  | {
      readonly kind: "no-lease";
      readonly volunteer: VolunteerId;
      readonly code: "no-work" | "too-many-assignments" | "run-not-active" | "blocked";
      readonly reason: string;
      readonly retryAfterMs: number;
    }
  | {
      readonly kind: "verdict";
      readonly volunteer: VolunteerId;
      readonly lease: string;
      readonly attempt: number;
      readonly verdict:
        | { readonly ok: true; readonly version: number }
        | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };
    }
  | {
      readonly kind: "revoke";
      readonly volunteer: VolunteerId;
      readonly lease: string;
      readonly attempt: number;
      readonly reason: AssignmentEnd;
    }
  | { readonly kind: "close-round"; readonly round: CloseRound }
  | { readonly kind: "evaluate"; readonly version: number; readonly weights: BlobRef }
  | { readonly kind: "checkpoint"; readonly version: number }
  /** Volunteers may ask for a lease again. */
  | { readonly kind: "announce"; readonly version: number };

export interface Decision {
  readonly events: readonly LedgerEvent[];
  readonly effects: readonly Effect[];
  /** A sentence for people: why the round waits, or what was just decided. */
  readonly reason: string;
}

/** Events that must be on disk before their effects show: a promise to somebody, or a change of the weights. */
export const DURABLE: ReadonlySet<LedgerEvent["type"]> = new Set<EventOf<LedgerEvent["type"]>["type"]>([
  "run-created",
  "run-adopted",
  "run-paused",
  "run-resumed",
  "run-stopped",
  "run-finished",
  "run-rolled-back",
  "volunteer-blocked",
  "volunteer-unblocked",
  "contribution-admitted",
  "version-published",
  "checkpoint-written",
]);
