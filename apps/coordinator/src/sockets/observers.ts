// Namespaces /observer and /admin: pictures of the runs at most five times a second; the admin's also takes commands.
// A reader that cannot keep up gets fewer, larger patches. Decides nothing about runs.
import { type CoordinatorApi, ObserverFeed } from "@weft/coordinator";
import { MAX_SESSIONS_PER_ADDRESS, OBSERVER_PATCH_MS, ObserverWatch, ok, type Result, refuse } from "@weft/protocol";
import type { Namespace, Socket } from "socket.io";
import type { Accounts } from "../accounts/accounts.ts";
import type { Asker, Gate } from "../accounts/who.ts";
import { answerAll } from "./ask.ts";

const FLUSH_MS = OBSERVER_PATCH_MS / 2;
/** A page changes the run it watches when somebody clicks; each change costs a whole picture. */
const WATCHES_PER_SECOND = 5;
/** Events a page sends at most in a second; beyond, each answer only feeds a backlog, so the connection ends. */
const EVENTS_PER_SECOND = 50;
/** Pages from one address: each that lends also watches, so a school class needs as many as it may have volunteers. */
const MAX_OBSERVERS_PER_ADDRESS = MAX_SESSIONS_PER_ADDRESS;
/** A session that expired by itself is noticed so soon. */
const SESSION_CHECK_MS = 60_000;

/** True for the first `most` calls of any second. */
function perSecond(most: number): () => boolean {
  let [count, untilMs] = [0, 0];
  return () => {
    const nowMs = performance.now();
    if (nowMs >= untilMs) [count, untilMs] = [0, nowMs + 1_000];
    count += 1;
    return count <= most;
  };
}

/** Ends the connection of a page that sends far more than a page does. */
function capEvents(socket: Socket): void {
  const allows = perSecond(EVENTS_PER_SECOND);
  socket.onAny(() => {
    if (!allows()) socket.disconnect(true);
  });
}

interface Feeds {
  /** Answers `watch` for this socket until it is gone. */
  open(socket: Socket): (message: unknown) => Result<unknown>;
}

/** Everything that was sent has left this process: Engine.IO empties its buffer whenever its transport is writable. */
const hasTaken = ({ conn }: Socket): boolean => conn.transport.writable;

/** One timer for all feeds of a namespace; it stands still while nobody watches. */
function makeFeeds(coordinator: CoordinatorApi): Feeds {
  const open = new Set<{ flush(nowMs: number): void }>();
  let timer: NodeJS.Timeout | null = null;
  const flush = (): void => {
    for (const page of open) page.flush(Date.now());
  };
  return {
    open(socket) {
      const feed = new ObserverFeed(
        coordinator,
        (event, payload) => void socket.emit(event, payload),
        () => hasTaken(socket),
      );
      /** What to watch next, once the page has taken what was sent: a whole picture is never put on top of one that waits. */
      let wanted: { readonly run: string | null } | null = null;
      const page = {
        flush(nowMs: number): void {
          if (wanted === null) feed.flush(nowMs);
          if (wanted === null || !hasTaken(socket)) return;
          const { run } = wanted;
          wanted = null;
          feed.watch(run, nowMs);
        },
      };
      open.add(page);
      timer ??= setInterval(flush, FLUSH_MS);
      socket.on("disconnect", () => {
        feed.close();
        open.delete(page);
        if (open.size > 0 || timer === null) return;
        clearInterval(timer);
        timer = null;
      });
      const allows = perSecond(WATCHES_PER_SECOND);
      return (message) => {
        if (!allows()) return refuse("rate-limited", "too many changes of the watched run in a second", 1_000);
        const parsed = ObserverWatch.safeParse(message);
        if (!parsed.success) return refuse("bad-message", 'the message must be { "run": a run\'s id or null }');
        const { run } = parsed.data;
        wanted = { run };
        page.flush(Date.now());
        return run === null || coordinator.detail(run) !== null ? ok(null) : refuse("unknown-run", "there is no such run");
      };
    },
  };
}

/** Refuses further connections of one address to this namespace. Counted when asked for, so that many at once do not slip through. */
function capAddresses(namespace: Namespace): void {
  const count = new Map<string, number>();
  const counted = new WeakSet<Socket["conn"]>();
  namespace.use((socket, next) => {
    const { conn, handshake } = socket;
    const { address } = handshake;
    if (counted.has(conn)) return next();
    const before = count.get(address) ?? 0;
    if (before >= MAX_OBSERVERS_PER_ADDRESS)
      return next(refusedConnection(refuse("too-many-sessions", "too many pages from this address watch", 10_000)));
    count.set(address, before + 1);
    counted.add(conn);
    conn.once("close", () => {
      const left = (count.get(address) ?? 1) - 1;
      if (left > 0) count.set(address, left);
      else count.delete(address);
    });
    return next();
  });
}

/** A refused connection, with the shared refusal as its `data`. */
const refusedConnection = (refusal: Result<never>): Error => Object.assign(new Error(refusal.ok ? "" : refusal.code), { data: refusal });

const unknownEvent = (): Result<unknown> => refuse("bad-message", "there is no such event");

export function serveObservers(namespace: Namespace, coordinator: CoordinatorApi): void {
  const feeds = makeFeeds(coordinator);
  capAddresses(namespace);
  namespace.on("connection", (socket) => {
    capEvents(socket);
    const watch = feeds.open(socket);
    answerAll(socket, async (event, message) => (event === "watch" ? watch(message) : unknownEvent()));
  });
}

export function serveAdmins(
  namespace: Namespace,
  coordinator: CoordinatorApi,
  { accounts, gate }: { readonly accounts: Accounts; readonly gate: Gate },
): void {
  const feeds = makeFeeds(coordinator);
  const sessions = new Map<string, Set<Socket>>();
  const askerOf = ({ handshake }: Socket): Promise<Asker | null> => {
    const key: unknown = handshake.auth.key;
    return gate.asker(
      handshake.headers.cookie ?? null,
      typeof key === "string" ? `Bearer ${key}` : (handshake.headers.authorization ?? null),
    );
  };
  accounts.onRevoked((session) => {
    for (const socket of sessions.get(session) ?? []) socket.disconnect(true);
  });
  capAddresses(namespace);
  namespace.use((socket, next) => {
    askerOf(socket).then(
      (asker) => {
        socket.data.session = asker?.kind === "session" ? asker.session.session : null;
        next(asker === null ? refusedConnection(refuse("unauthorized", "sign in first")) : undefined);
      },
      () => next(refusedConnection(refuse("internal", "the sign-in could not be checked", 1_000))),
    );
  });
  namespace.on("connection", (socket) => {
    const session = socket.data.session as string | null;
    if (session !== null) sessions.set(session, (sessions.get(session) ?? new Set()).add(socket));
    const check = setInterval(() => {
      askerOf(socket).then(
        (asker) => asker ?? socket.disconnect(true),
        () => undefined,
      );
    }, SESSION_CHECK_MS);
    socket.on("disconnect", () => {
      clearInterval(check);
      const same = session === null ? undefined : sessions.get(session);
      same?.delete(socket);
      if (session !== null && same?.size === 0) sessions.delete(session);
    });
    capEvents(socket);
    const watch = feeds.open(socket);
    answerAll(socket, async (event, message) => {
      if (event === "watch") return watch(message);
      if (event !== "command") return unknownEvent();
      // Asked anew each time: a session may have ended since the connection.
      const asker = await askerOf(socket);
      return asker === null ? refuse("unauthorized", "sign in again") : coordinator.command(message, asker.by);
    });
  });
}
