// The page's one line to the observer namespace: watches a run, folds what comes into a store, heals by itself.
// Knows nothing of what pages draw from it.
import type { CoordinatorToObserver, Patch, Result, Snapshot } from "@weft/protocol";
import { io, type Socket } from "socket.io-client";
import { useStore } from "zustand";
import { createStore } from "zustand/vanilla";
import { applyPatch, fromSnapshot, NOTHING, type Picture } from "./merge.ts";

interface ObserverToCoordinator {
  watch: (message: { run: string | null }, ack: (reply: Result<null>) => void) => void;
}
type ObserverSocket = Pick<Socket<CoordinatorToObserver, ObserverToCoordinator>, "on" | "emit" | "connected">;

export interface Live extends Picture {
  /** `opening` until the first connection; `down` when one was lost or could not be made. */
  readonly line: "opening" | "up" | "down";
  /** The run that pages asked for; `detail` may still be that of another until the coordinator answers. */
  readonly watched: string | null;
  /** The coordinator's sentence where it does not know the watched run. */
  readonly refusal: string | null;
  /** This machine's clock minus the coordinator's, so that the coordinator's times can be counted from here. */
  readonly clockSkewMs: number;
}

/** An observer over a given line; the application has one, tests make their own. */
export function createObserver(connect: () => ObserverSocket, now: () => number = Date.now) {
  const store = createStore<Live>(() => ({
    ...NOTHING,
    line: "opening",
    watched: null,
    refusal: null,
    clockSkewMs: 0,
  }));
  let socket: ObserverSocket | null = null;

  const ask = (): void => {
    const run = store.getState().watched;
    socket?.emit("watch", { run }, (reply) => {
      if (store.getState().watched === run) store.setState({ refusal: reply.ok ? null : reply.message });
    });
  };
  return {
    store,
    /** Connects once; later calls do nothing. */
    open(): void {
      if (socket !== null) return;
      socket = connect();
      socket.on("connect", () => {
        store.setState({ line: "up" });
        ask();
      });
      socket.on("disconnect", () => store.setState({ line: "down" }));
      socket.on("connect_error", () => store.setState({ line: "down" }));
      socket.on("snapshot", (snapshot: Snapshot) => {
        const { watched, detail } = store.getState();
        const picture = fromSnapshot(snapshot);
        // A snapshot that answers an earlier question must not show another run than the one asked for.
        const current = picture.detail === null || picture.detail.run === watched ? picture.detail : detail;
        store.setState({ ...picture, detail: current, clockSkewMs: now() - snapshot.atMs });
      });
      socket.on("patch", (patch: Patch) => store.setState((live) => applyPatch(live, patch)));
    },
    /** Asks for a run's details; null for the list alone. */
    watch(run: string | null): void {
      const { watched, detail } = store.getState();
      if (run === watched) return;
      store.setState({ watched: run, refusal: null, detail: detail?.run === run ? detail : null });
      if (socket?.connected === true) ask();
    },
  };
}

export const observer = createObserver(() =>
  // Websocket only: the coordinator offers no polling. Reconnects for ever, at most 5 s apart, with jitter.
  io("/observer", { transports: ["websocket"], reconnectionDelay: 500, reconnectionDelayMax: 5_000, randomizationFactor: 0.5 }),
);

export const useLive = <T>(select: (live: Live) => T): T => useStore(observer.store, select);
