// The four addresses of the application. Each page is a chunk of its own, loaded when it is opened.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { NotFound, Shell } from "./shell.tsx";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const runOf = (value: unknown): { run?: string } => (typeof value === "string" && /^[a-z0-9-]{1,40}$/.test(value) ? { run: value } : {});

const lend = createRoute({
  getParentRoute: () => root,
  path: "/",
  /** `run` chooses what to train; `lend=1` presses the button by itself. */
  validateSearch: (search: Record<string, unknown>): { run?: string; lend?: 1 } => ({
    ...runOf(search.run),
    ...(search.lend === 1 || search.lend === "1" ? { lend: 1 as const } : {}),
  }),
  component: lazyRouteComponent(() => import("../lend/lend-page.tsx"), "LendPage"),
});
const admin = createRoute({
  getParentRoute: () => root,
  path: "/admin",
  validateSearch: (search: Record<string, unknown>): { run?: string } => runOf(search.run),
  component: lazyRouteComponent(() => import("../admin/admin-page.tsx"), "AdminPage"),
});
const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  component: lazyRouteComponent(() => import("../runs/runs-page.tsx"), "RunsPage"),
});
const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$run",
  component: lazyRouteComponent(() => import("../runs/run-page.tsx"), "RunPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([lend, admin, runs, run]),
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
