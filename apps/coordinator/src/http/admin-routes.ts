// Signing in and commanding over HTTP. Each route checks its body by a schema; who may call stands in who.ts, the paths in app.ts.
import type { CoordinatorApi } from "@weft/coordinator";
import { ok, type Result } from "@weft/protocol";
import type { Context } from "hono";
import * as z from "zod/mini";
import type { Accounts, SessionCookies } from "../accounts/accounts.ts";
import type { AttemptLimit } from "../accounts/limits.ts";
import type { Gate } from "../accounts/who.ts";
import { answer, NO_STORE, stop } from "./answers.ts";
import { readBody, readJson } from "./body.ts";

const text = (maximum: number) => z.string().check(z.minLength(1), z.maxLength(maximum));
const Exchange = z.strictObject({ token: text(200) });
const Password = z.strictObject({ name: text(128), email: text(256), password: text(1000) });
const SignIn = z.strictObject({ email: text(256), password: text(1000) });

export interface AdminRoutesContext {
  readonly coordinator: CoordinatorApi;
  readonly accounts: Accounts;
  readonly gate: Gate;
  readonly attempts: AttemptLimit;
  readonly addressOf: (context: Context) => string;
}

const cookieOf = (context: Context): string | null => context.req.header("cookie") ?? null;

function withCookies(context: Context, result: Result<SessionCookies>): Response {
  if (!result.ok) return answer(context, result);
  const response = context.json({ ok: true, value: null }, 200, NO_STORE);
  for (const cookie of result.value.cookies) response.headers.append("set-cookie", cookie);
  return response;
}

export function adminRoutes({ coordinator, accounts, gate, attempts, addressOf }: AdminRoutesContext) {
  const attempt = async (context: Context): Promise<void> => {
    const waitMs = await attempts.take(addressOf(context));
    if (waitMs !== null) stop("rate-limited", "Too many attempts to sign in from this address. Wait a minute.", waitMs);
  };
  return {
    async session(context: Context) {
      const admin = await accounts.identify(cookieOf(context));
      const passwordSet = admin?.passwordSet ?? (await accounts.passwordSet());
      return answer(context, ok({ signedIn: admin !== null, name: admin?.name ?? null, role: admin?.role ?? null, passwordSet }));
    },
    async exchange(context: Context) {
      await attempt(context);
      const { token } = await readBody(context, Exchange);
      return withCookies(context, await accounts.exchange(token));
    },
    async password(context: Context) {
      await attempt(context);
      return answer(context, await accounts.choosePassword(cookieOf(context), await readBody(context, Password)));
    },
    async signIn(context: Context) {
      await attempt(context);
      const { email, password } = await readBody(context, SignIn);
      return withCookies(context, await accounts.signIn(email, password));
    },
    async signOut(context: Context) {
      return withCookies(context, await accounts.signOut(cookieOf(context)));
    },
    async command(context: Context) {
      const asker = await gate.asker(cookieOf(context), context.req.header("authorization") ?? null);
      if (asker === null) stop("unauthorized", "Only a signed-in admin may do this.");
      return answer(context, await coordinator.command(await readJson(context), asker.by));
    },
  };
}
