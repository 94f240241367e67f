// Who asks: an admin by session cookie, or a command line on this machine by the data folder's key. Used by HTTP routes and sockets alike.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Accounts, AdminSession } from "./accounts.ts";

export type Asker =
  | { readonly kind: "session"; readonly session: AdminSession; readonly by: string }
  /** Whoever can read the data folder's admin.key. */
  | { readonly kind: "key"; readonly by: string };

export interface Gate {
  /** Null: nobody known. `cookie` and `authorization` are header values. */
  asker(cookie: string | null, authorization: string | null): Promise<Asker | null>;
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

export function makeGate(accounts: Accounts, adminKey: string): Gate {
  const expected = digest(adminKey);
  return {
    async asker(cookie, authorization) {
      if (authorization !== null) {
        const [, key = ""] = /^Bearer ([0-9a-f]{1,128})$/.exec(authorization) ?? [];
        return timingSafeEqual(digest(key), expected) ? { kind: "key", by: "command line" } : null;
      }
      const session = await accounts.identify(cookie);
      return session === null ? null : { kind: "session", session, by: session.name };
    },
  };
}
