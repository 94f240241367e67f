// What one address, and all together, may cost over HTTP: requests a minute, and expensive answers at a time. Kept in memory. Knows no routes.

import { refuse } from "@weft/protocol";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { Refused, stop } from "./answers.ts";

const WINDOW_SECONDS = 60;
/** Requests of one address to /api: a class of 256 behind one router opens its pages at once, ten requests each. */
export const MAX_API_REQUESTS_A_MINUTE = 3_000;
/** Those among them that read the disk or build a large answer. Pages get runs over sockets; a whole ledger of a million records is 1000 pages. */
export const MAX_COSTLY_REQUESTS_A_MINUTE = 1_200;
/** Ledger pages read at once: each walks through a segment and holds up to 1000 records. */
export const MAX_LEDGER_READS = 2;
/** Contributions in memory at once: each may have 100 MB and more, from the disk until its receiver has it. */
export const MAX_CONTRIBUTION_READS = 2;
/** Requests that wait for a place of either kind; above it they are told to come again. */
export const MAX_WAITING_READS = 32;
/** How slowly a receiver may take a contribution before it loses its place: so long, and longer by size. */
const SEND_LIMIT_MS = 30_000;
const SLOWEST_BYTES_PER_MS = 100;

/** The time that a receiver has for `sizeBytes`. */
export const sendLimitMs = (sizeBytes: number): number => SEND_LIMIT_MS + sizeBytes / SLOWEST_BYTES_PER_MS;

/** Counts requests of addresses; throws the refusal `rate-limited` where there are too many. */
export function limitRequests(points: number, duration = WINDOW_SECONDS): (address: string) => Promise<void> {
  const limiter = new RateLimiterMemory({ points, duration });
  return async (address) => {
    try {
      await limiter.consume(address);
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      stop("rate-limited", "Too many requests from this address. Wait a little.", Math.max(1, refusal.msBeforeNext));
    }
  };
}

/** Gives its place back; further calls do nothing. */
export type Release = () => void;

/**
 * At most `most` places are taken at once; `waiting` callers wait in line, and whoever comes then gets the refusal `unavailable`. A caller
 * whose `gone` fires leaves the line.
 */
export function places(most: number, waiting = MAX_WAITING_READS): (gone?: AbortSignal) => Promise<Release> {
  const line = new Set<() => void>();
  let taken = 0;
  const releaseOnce = (): Release => {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const next = line.values().next().value;
      // The place goes on to the next in line, so `taken` stays.
      if (next === undefined) taken -= 1;
      else next();
    };
  };
  return async (gone) => {
    if (taken < most) {
      taken += 1;
      return releaseOnce();
    }
    if (line.size >= waiting) stop("unavailable", "Too many such requests are under way. Come again in a moment.", 2_000);
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        line.delete(enter);
        gone?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        if (line.delete(enter)) reject(new Refused(refuse("unavailable", "The caller has gone.")));
      };
      line.add(enter);
      gone?.addEventListener("abort", leave, { once: true });
      if (gone?.aborted === true) leave();
    });
    return releaseOnce();
  };
}
