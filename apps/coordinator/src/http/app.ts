// The HTTP application: which path answers to which method, and what stands before and behind every route (Host and Origin, headers, body limits, errors).
import type { HttpBindings } from "@hono/node-server";
import type { CoordinatorApi } from "@weft/coordinator";
import { ERROR_CODES, Goodbye, ok, PROTOCOL_VERSION, refuse } from "@weft/protocol";
import { type Context, Hono } from "hono";
import type { Logger } from "pino";
import type { Metrics } from "../metrics.ts";
import { type AdminRoutesContext, adminRoutes } from "./admin-routes.ts";
import { answer, NO_STORE, Refused, refusalOf, stop } from "./answers.ts";
import { readBody } from "./body.ts";
import { limitRequests, MAX_API_REQUESTS_A_MINUTE, MAX_COSTLY_REQUESTS_A_MINUTE } from "./cost-limits.ts";
import type { OriginPolicy } from "./origins.ts";
import { type RunRoutesContext, runRoutes } from "./run-routes.ts";
import { setSecurityHeaders } from "./security-headers.ts";
import { type StaticSite, serveFile } from "./static.ts";

export interface AppContext extends RunRoutesContext, Omit<AdminRoutesContext, "addressOf" | "coordinator"> {
  readonly coordinator: CoordinatorApi;
  readonly origins: OriginPolicy;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly secure: boolean;
  /** Null: the web application is not built. */
  readonly site: StaticSite | null;
  readonly name: string;
  readonly coordinatorKey: string;
  readonly allowSoftwareGpu: boolean;
}

/** Answers that cost more than a look into memory; counted apart as well. */
const COSTLY = /^\/api\/runs\/[^/]+(?:\/(?:ledger|contributions\/[^/]*))?$/;

type Handler = (context: Context) => Response | Promise<Response>;
/** Paths of the web application's pages; every other path is a file or does not exist. */
const PAGES = ["/", "/admin", "/runs", "/runs/:run"];

export const addressOf = (context: Context): string => (context.env as HttpBindings).incoming.socket.remoteAddress ?? "unknown";

/** The page of a run that is not there says so itself; the status says it to everyone else. */
function page(app: AppContext): Handler {
  const statusOf = (context: Context): 200 | 404 => {
    const run = context.req.param("run");
    return run === undefined || app.coordinator.runs().some((known) => known.run === run) ? 200 : 404;
  };
  return (context) =>
    (app.site === null ? null : serveFile(context, app.site, "/index.html", statusOf(context))) ??
    stop("not-found", "The web application is not built here. Run npm start, or npm run dev and open its address.");
}

export function makeApp(app: AppContext): Hono {
  const { coordinator, metrics, log, origins, secure } = app;
  const hono = new Hono();
  const runs = runRoutes(app);
  const admin = adminRoutes({ ...app, addressOf });

  hono.use(async (context, next) => {
    await next();
    setSecurityHeaders(context, secure);
    metrics.request(context.req.method, context.res.status);
  });
  hono.use(async (context, next) => {
    const host = context.req.header("host") ?? null;
    if (!origins.hostAllowed(host))
      stop("bad-origin", "This coordinator is not reached under that name. Start it with --host or --origin.");
    const origin = context.req.header("origin") ?? null;
    if (context.req.method === "GET" || context.req.method === "HEAD") return next();
    // Browsers name their page's origin on every such request; who names none must hold a key instead of a cookie.
    const foreign = origin === null ? context.req.header("authorization") === undefined : !origins.originAllowed(origin, host);
    if (foreign) stop("bad-origin", "This request must come from the coordinator's own pages.");
    return next();
  });
  const countRequest = limitRequests(MAX_API_REQUESTS_A_MINUTE);
  const countCostly = limitRequests(MAX_COSTLY_REQUESTS_A_MINUTE);
  hono.use("/api/*", async (context, next) => {
    const address = addressOf(context);
    await countRequest(address);
    if (COSTLY.test(context.req.path)) await countCostly(address);
    return next();
  });
  const gets: Readonly<Record<string, Handler>> = {
    "/api/health": (context) => answer(context, ok({ healthy: true })),
    "/api/info": (context) =>
      answer(
        context,
        ok({
          name: app.name,
          coordinator: app.coordinatorKey,
          protocol: PROTOCOL_VERSION,
          volunteersNow: coordinator.volunteersNow(),
          allowSoftwareGpu: app.allowSoftwareGpu,
        }),
      ),
    "/api/runs": runs.runs,
    "/api/runs/:run": runs.run,
    "/api/runs/:run/ledger": runs.ledger,
    "/api/runs/:run/spec": runs.spec,
    "/api/runs/:run/checkpoints": runs.checkpoints,
    "/api/runs/:run/checkpoints/:version": runs.checkpoint,
    "/api/runs/:run/contributions/:sha256": runs.contribution,
    "/api/datasets": runs.datasets,
    "/api/datasets/:id": runs.dataset,
    "/blobs/:sha256": runs.blob,
    "/metrics": async (context) => context.body(await metrics.text(), 200, { ...NO_STORE, "content-type": metrics.contentType }),
    "/api/admin/session": admin.session,
    ...Object.fromEntries(PAGES.map((path) => [path, page(app)])),
  };
  const posts: Readonly<Record<string, Handler>> = {
    "/api/admin/exchange": admin.exchange,
    "/api/admin/password": admin.password,
    "/api/admin/sign-in": admin.signIn,
    "/api/admin/sign-out": admin.signOut,
    "/api/admin/command": admin.command,
    "/api/volunteer/goodbye": async (context) => {
      const { farewell } = await readBody(context, Goodbye);
      return answer(context, (await coordinator.goodbye(farewell)) ? ok(null) : refuse("not-found", "No connection goes by this word."));
    },
  };
  const only = (path: string, allow: string): void => {
    hono.all(path, () => {
      throw new Refused({ ok: false, code: "method-not-allowed", message: `Only ${allow} is answered here.` }, { allow });
    });
  };
  for (const [path, handler] of Object.entries(gets)) {
    hono.get(path, handler);
    only(path, "GET, HEAD");
  }
  for (const [path, handler] of Object.entries(posts)) {
    hono.post(path, handler);
    only(path, "POST");
  }

  hono.notFound((context) => {
    const method = context.req.method;
    const file = app.site !== null && (method === "GET" || method === "HEAD") ? serveFile(context, app.site, context.req.path) : null;
    if (file !== null) return file;
    metrics.refused("not-found");
    return answer(context, { ok: false, code: "not-found", message: "There is nothing at this address." });
  });
  hono.onError((error, context) => {
    const refusal = refusalOf(error);
    metrics.refused(refusal.code);
    // A refusal on purpose, such as "come again", is no failure.
    if (ERROR_CODES[refusal.code].status >= 500 && !(error instanceof Refused)) {
      metrics.error("http");
      log.error({ err: error, path: context.req.path }, "request failed");
    }
    return answer(context, refusal, error instanceof Refused ? error.headers : {});
  });
  return hono;
}

/** For requests that never become one: a Host or a path that is no part of an address. */
export function unreadable(): Response {
  const refusal = { ok: false, code: "bad-message", message: "This is no HTTP request that can be read." };
  return Response.json(refusal, { status: ERROR_CODES["bad-message"].status, headers: NO_STORE });
}
