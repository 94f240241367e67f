// better-auth over the account database: users, password hashes, sessions. One plugin adds the exchange of a redeemed one-time token for a session.
// Knows no routes; its handler is never exposed, only its server-side calls are used (accounts.ts).
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { createAuthEndpoint } from "better-auth/api";
import { setSessionCookie } from "better-auth/cookies";
import { getMigrations } from "better-auth/db/migration";
import type { Kysely } from "kysely";
import { COOKIE_PREFIX, MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, PROVISIONAL_EMAIL } from "./rules.ts";

const SESSION_SECONDS = 7 * 24 * 60 * 60;

/** Server-side only: callers have redeemed the token already. */
const tokenSession = {
  id: "weft-token-session",
  endpoints: {
    startTokenSession: createAuthEndpoint.serverOnly({ method: "POST" }, async (ctx) => {
      const { internalAdapter } = ctx.context;
      const user = await findOrCreateAdmin(internalAdapter);
      const session = await internalAdapter.createSession(user.id);
      await setSessionCookie(ctx, { session, user });
      return ctx.json({ userId: user.id });
    }),
  },
} as const;

type InternalAdapter = Awaited<ReturnType<typeof betterAuth>["$context"]>["internalAdapter"];

async function findOrCreateAdmin(adapter: InternalAdapter) {
  const [first] = await adapter.listUsers(1, 0, { field: "createdAt", direction: "asc" });
  if (first !== undefined) return first;
  return adapter.createUser({ name: "Admin", email: PROVISIONAL_EMAIL, emailVerified: true }, { method: "admin" });
}

export interface AuthSettings {
  readonly database: Kysely<never>;
  readonly secret: string;
  readonly baseURL: string;
  readonly secure: boolean;
}

const optionsOf = ({ database, secret, baseURL, secure }: AuthSettings) =>
  ({
    appName: "Weft",
    baseURL,
    secret,
    database: { db: database as unknown as Kysely<Record<string, never>>, type: "sqlite" as const, transaction: true },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: MIN_PASSWORD_CHARACTERS,
      maxPasswordLength: MAX_PASSWORD_CHARACTERS,
    },
    user: { additionalFields: { role: { type: "string" as const, required: false, defaultValue: "admin", input: false } } },
    session: { expiresIn: SESSION_SECONDS, disableSessionRefresh: true },
    // Attempts are limited per address by our own limiter, before anything reaches the database.
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
    advanced: {
      cookiePrefix: COOKIE_PREFIX,
      useSecureCookies: secure,
      defaultCookieAttributes: { sameSite: "strict" as const, httpOnly: true, path: "/" },
      // Nothing about a person is stored beyond name and address: no network addresses.
      ipAddress: { disableIpTracking: true },
    },
    plugins: [tokenSession],
  }) satisfies BetterAuthOptions;

/** Brings the account tables up to date and returns the calls on them. */
export async function openAuth(settings: AuthSettings) {
  const options = optionsOf(settings);
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  return betterAuth(options);
}
export type Auth = Awaited<ReturnType<typeof openAuth>>;
