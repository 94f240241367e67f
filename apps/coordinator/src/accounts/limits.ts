// How often one address may try to sign in. Kept in memory, forgotten after the window; nothing about an address is stored.
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/** Attempts of one address in the window; a person who mistypes needs fewer, a guesser of passwords needs millions. */
const ATTEMPTS = 10;
const WINDOW_SECONDS = 60;

export interface AttemptLimit {
  /** Null when the attempt may go on, else how long to wait. */
  take(address: string): Promise<number | null>;
}

export function limitAttempts(points = ATTEMPTS, duration = WINDOW_SECONDS): AttemptLimit {
  const limiter = new RateLimiterMemory({ points, duration });
  return {
    async take(address) {
      try {
        await limiter.consume(address);
        return null;
      } catch (refusal) {
        if (refusal instanceof RateLimiterRes) return refusal.msBeforeNext;
        throw refusal;
      }
    },
  };
}
