// What the page and the volunteer's worker say to one another. Plain data; knows neither side's inside.
import type { VolunteerSnapshot } from "@weft/volunteer";

export interface StartOptions {
  /** The run to lend to; null: whatever the coordinator has. */
  readonly run: string | null;
  /** Whether the slower WASM or CPU path may be used where there is no usable GPU. */
  readonly fallback: boolean;
}
export interface StartMessage extends StartOptions {
  readonly kind: "start";
  /** Origin of the coordinator, for example `https://weft.example`. */
  readonly origin: string;
  readonly name: string | null;
  readonly effort: number;
  /** Null: the worker asks /api/info. */
  readonly allowSoftwareGpu: boolean | null;
}
/** Why work is held without the volunteer having asked for it. */
export type HoldReason = "frozen" | "battery";

export type ToWorker =
  | StartMessage
  | { readonly kind: "pause"; readonly untilMs: number | null }
  | { readonly kind: "resume" }
  | { readonly kind: "finish" }
  | { readonly kind: "stop" }
  | { readonly kind: "effort"; readonly effort: number }
  | { readonly kind: "name"; readonly name: string | null }
  | { readonly kind: "hold"; readonly reason: HoldReason }
  | { readonly kind: "unhold"; readonly reason: HoldReason };

export type FromWorker =
  | { readonly kind: "snapshot"; readonly snapshot: VolunteerSnapshot }
  /** With which the page can say goodbye for the worker's present connection. */
  | { readonly kind: "farewell"; readonly farewell: string };
