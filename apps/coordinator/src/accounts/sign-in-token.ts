// The one-time token that signs the admin in the first time: 256 random bits, single use, a quarter of an hour. Kept in memory as a hash only.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { ADMIN_TOKEN_MS } from "@weft/protocol";

export interface SignInTokens {
  /** A fresh token; the one before it no longer counts. */
  issue(): string;
  /** True once for the token that was issued last, while it lives. */
  redeem(token: string): boolean;
}

const digest = (token: string): Buffer => createHash("sha256").update(token).digest();

export function makeSignInTokens(now: () => number): SignInTokens {
  let current: { readonly digest: Buffer; readonly expiresAtMs: number } | null = null;
  return {
    issue() {
      const token = randomBytes(32).toString("base64url");
      current = { digest: digest(token), expiresAtMs: now() + ADMIN_TOKEN_MS };
      return token;
    },
    redeem(token) {
      if (current === null || !timingSafeEqual(current.digest, digest(token))) return false;
      const alive = now() < current.expiresAtMs;
      current = null;
      return alive;
    },
  };
}
