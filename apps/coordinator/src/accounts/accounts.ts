// Who is the admin: the one-time token first, then a password, a session cookie in between. Refusals carry codes. Knows no routes and no sockets.
import { isDisplayName, ok, type Result, refuse } from "@weft/protocol";
import { type Kysely, sql } from "kysely";
import { messageOf } from "../start-error.ts";
import type { Auth } from "./auth.ts";
import { COOKIE_PREFIX, MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, PROVISIONAL_EMAIL } from "./rules.ts";
import { makeSignInTokens } from "./sign-in-token.ts";

export interface AdminSession {
  readonly name: string;
  readonly role: string;
  readonly passwordSet: boolean;
  /** Names the session to whoever must end it; never sent to anybody. */
  readonly session: string;
}
/** What a successful sign-in or sign-out gives the browser. */
export interface SessionCookies {
  readonly cookies: readonly string[];
}

export interface Accounts {
  /** Where no password stands yet: a fresh one-time token. Null afterwards. */
  signInToken(): Promise<string | null>;
  passwordSet(): Promise<boolean>;
  /** The admin whose session cookie stands in `cookie`, or null. */
  identify(cookie: string | null): Promise<AdminSession | null>;
  exchange(token: string): Promise<Result<SessionCookies>>;
  choosePassword(
    cookie: string | null,
    choice: { readonly name: string; readonly email: string; readonly password: string },
  ): Promise<Result<null>>;
  signIn(email: string, password: string): Promise<Result<SessionCookies>>;
  signOut(cookie: string | null): Promise<Result<SessionCookies>>;
  /** Called with the name of each session that ended here. */
  onRevoked(listener: (session: string) => void): void;
  close(): Promise<void>;
}

export interface AccountsOptions {
  readonly database: Kysely<never>;
  readonly secret: string;
  readonly baseURL: string;
  readonly secure: boolean;
  readonly now: () => number;
}

const EMAIL = /^[^\s@<>"]{1,64}@[^\s@<>"]{1,190}$/;
const headersOf = (cookie: string | null): Headers => new Headers(cookie === null ? {} : { cookie });
const isProvisional = (email: string): boolean => email === PROVISIONAL_EMAIL;

/** Whether an admin has chosen a password, asked of the tables themselves: there are none before the first sign-in. */
async function isPasswordStored(database: Kysely<never>): Promise<boolean> {
  const tables = await sql`select 1 from sqlite_master where type = 'table' and name = 'account'`.execute(database);
  if (tables.rows.length === 0) return false;
  const found = await sql`select 1 from account where "providerId" = 'credential' limit 1`.execute(database);
  return found.rows.length > 0;
}

export async function openAccounts(options: AccountsOptions): Promise<Accounts> {
  let opening: Promise<Auth> | null = null;
  // The library is a sixth of a small coordinator's memory: it is loaded when somebody signs in, or comes with a cookie.
  const opened = async (): Promise<Auth> => {
    opening ??= import("./auth.ts").then(({ openAuth }) => openAuth(options));
    opening.catch(() => {
      opening = null;
    });
    return opening;
  };
  const adapter = async () => (await (await opened()).$context).internalAdapter;
  const tokens = makeSignInTokens(options.now);
  const listeners = new Set<(session: string) => void>();

  const passwordSet = (): Promise<boolean> => isPasswordStored(options.database);
  /** A browser brings all cookies of this host; only ours are worth the library. */
  const sessionOf = async (cookie: string | null) =>
    cookie === null || !cookie.includes(COOKIE_PREFIX) ? null : (await opened()).api.getSession({ headers: headersOf(cookie) });
  await passwordSet();

  return {
    passwordSet,
    async signInToken() {
      return (await passwordSet()) ? null : tokens.issue();
    },
    async identify(cookie) {
      const found = await sessionOf(cookie);
      if (found === null) return null;
      return {
        name: found.user.name,
        role: found.user.role ?? "admin",
        passwordSet: (await (await adapter()).findCredentialAccount(found.user.id)) !== null,
        session: found.session.token,
      };
    },
    async exchange(token) {
      if (!tokens.redeem(token))
        return refuse(
          "bad-token",
          "This sign-in link was used already, or is older than 15 minutes. Restart the coordinator for a new one.",
        );
      const response = await (await opened()).api.startTokenSession({ asResponse: true });
      return ok({ cookies: response.headers.getSetCookie() });
    },
    async choosePassword(cookie, { name, email, password }) {
      const found = await sessionOf(cookie);
      if (found === null) return refuse("unauthorized", "Sign in first.");
      if (!isDisplayName(name)) return refuse("bad-name", "A name is 1 to 32 visible characters.");
      if (!EMAIL.test(email) || isProvisional(email.toLowerCase()))
        return refuse("bad-message", "The e-mail address does not look like one, for example ada@example.org.");
      const characters = [...password].length;
      if (characters < MIN_PASSWORD_CHARACTERS || password.length > MAX_PASSWORD_CHARACTERS)
        return refuse("bad-message", `A password has ${MIN_PASSWORD_CHARACTERS} to ${MAX_PASSWORD_CHARACTERS} characters.`);
      const { api } = await opened();
      const internalAdapter = await adapter();
      if ((await internalAdapter.findCredentialAccount(found.user.id)) !== null)
        return refuse("bad-command", "A password was chosen already; sign in with it.");
      await api.setPassword({ headers: headersOf(cookie), body: { newPassword: password } });
      await internalAdapter.updateUser(found.user.id, { name, email });
      return ok(null);
    },
    async signIn(email, password) {
      // The provisional address has no password until the admin chose an address, so it can never sign in.
      const { api } = await opened();
      const response = await api.signInEmail({ body: { email, password }, asResponse: true }).catch((error: unknown) => messageOf(error));
      if (typeof response === "string" || !response.ok) return refuse("unauthorized", "E-mail address or password is wrong.");
      return ok({ cookies: response.headers.getSetCookie() });
    },
    async signOut(cookie) {
      const found = await sessionOf(cookie);
      const response = await (await opened()).api.signOut({ headers: headersOf(cookie), asResponse: true });
      if (found !== null) for (const listener of listeners) listener(found.session.token);
      return ok({ cookies: response.headers.getSetCookie() });
    },
    onRevoked(listener) {
      listeners.add(listener);
    },
    async close() {
      listeners.clear();
      await options.database.destroy();
    },
  };
}
