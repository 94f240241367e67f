// The page's side of the volunteer: starts the worker when the volunteer presses the button, passes wishes on, hands snapshots out.
// Nothing heavy is loaded before `start`. Knows no React, no socket and no engine.
import type { Goodbye } from "@weft/protocol";
import type { VolunteerSnapshot } from "@weft/volunteer";
import { browserEnvironment, type Environment } from "./environment.ts";
import type { FromWorker, HoldReason, StartOptions, ToWorker } from "./messages.ts";

export type { UnfitReason, VolunteerSnapshot, VolunteerStatus } from "@weft/volunteer";
export { type Capabilities, detectCapabilities, type NoGpuReason } from "./capabilities.ts";
export type { StartOptions } from "./messages.ts";

export type Effort = 0.25 | 0.5 | 1;

export interface VolunteerClient {
  /** Lends this device. Again after `stop`, a refusal or an unfit device: begins anew. */
  start(options: StartOptions): void;
  /** Gives the lease back; work goes on at `untilMs` (as Date.now counts) or at `resume`. */
  pause(untilMs?: number): void;
  resume(): void;
  /** Finishes and sends the lease in hand, then stops. */
  finish(): void;
  /** Gives the lease back, says goodbye, stops. */
  stop(): void;
  setEffort(effort: Effort): void;
  /** Null: no name. Holds from the next connection on; while connected it reconnects. */
  setName(name: string | null): void;
  /** While true, work is held whenever the device runs on its battery. */
  setKeepOffBattery(keepOff: boolean): void;
  /** Calls back on each change, not at once; the answer unsubscribes. */
  subscribe(listener: (snapshot: VolunteerSnapshot) => void): () => void;
  /** The same object until something changes, as useSyncExternalStore wants it. */
  snapshot(): VolunteerSnapshot;
  /** Stops and frees the worker. */
  dispose(): void;
}

export interface VolunteerClientOptions {
  /** Origin of the coordinator; default: the page's own. */
  readonly origin?: string;
  readonly name?: string | null;
  readonly effort?: Effort;
  readonly keepOffBattery?: boolean;
  /** From /api/info; left out, the worker asks for it. */
  readonly allowSoftwareGpu?: boolean;
  readonly environment?: Environment;
  /** For tests: another worker, another post. */
  readonly createWorker?: () => WorkerLike;
  readonly sendGoodbye?: (origin: string, farewell: string) => void;
}
export interface WorkerLike {
  postMessage(message: ToWorker): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  terminate(): void;
}

export const IDLE_SNAPSHOT: VolunteerSnapshot = {
  status: { state: "idle" },
  volunteer: null,
  name: null,
  device: null,
  selfTest: null,
  lease: null,
  shares: [],
  losses: [],
  steps: 0,
  samples: 0,
  admitted: 0,
  refused: 0,
  bytesUp: 0,
  bytesDown: 0,
  weights: { snapshot: 0, deltas: 0, "failed-deltas": 0 },
  samplesPerSecond: null,
  effort: 1,
  startedAtMs: null,
  spentMs: { computing: 0, downloading: 0, uploading: 0, waiting: 0 },
  doing: null,
  milestones: {},
  lastRefusal: null,
};

const volunteerWorker = (): WorkerLike => new Worker(new URL("./volunteer-worker.ts", import.meta.url), { type: "module", name: "weft" });

/** A beacon outlives the page; what a worker still has to say when its page goes is often lost. */
function beaconGoodbye(origin: string, farewell: string): void {
  const body = new Blob([JSON.stringify({ farewell } satisfies Goodbye)], { type: "application/json" });
  navigator.sendBeacon(new URL("/api/volunteer/goodbye", origin), body);
}

/** A worker that is disposed of gets this long to say goodbye. */
const GOODBYE_MS = 1_500;

export function createVolunteerClient(options: VolunteerClientOptions = {}): VolunteerClient {
  const { createWorker = volunteerWorker, environment = browserEnvironment, sendGoodbye = beaconGoodbye } = options;
  const listeners = new Set<(snapshot: VolunteerSnapshot) => void>();
  let name = options.name ?? null;
  let effort: Effort = options.effort ?? 1;
  let keepOffBattery = options.keepOffBattery ?? false;
  let onBattery = false;
  let current: VolunteerSnapshot = { ...IDLE_SNAPSHOT, name, effort };
  let worker: WorkerLike | null = null;
  let farewell: string | null = null;

  const show = (snapshot: VolunteerSnapshot): void => {
    current = snapshot;
    for (const listener of [...listeners]) listener(snapshot);
  };
  const tell = (message: ToWorker): void => worker?.postMessage(message);
  const hold = (reason: HoldReason, held: boolean): void => tell({ kind: held ? "hold" : "unhold", reason });
  const ensureWorker = (): WorkerLike => {
    if (worker !== null) return worker;
    const made = createWorker();
    made.onmessage = ({ data }) => {
      if (worker !== made) return;
      if (data.kind === "snapshot") show(data.snapshot);
      else farewell = data.farewell;
    };
    made.onerror = (event) => {
      if (worker !== made) return;
      worker = null;
      made.terminate();
      show({
        ...current,
        lease: null,
        status: { state: "unfit", reason: "failed", detail: `The worker failed: ${event.message || "it could not be loaded"}` },
      });
    };
    worker = made;
    return made;
  };
  const origin = (): string => options.origin ?? location.origin;
  /** For the connection as it is now; one that is over already takes no harm. */
  const sayGoodbye = (): void => {
    if (farewell !== null) sendGoodbye(origin(), farewell);
    farewell = null;
  };
  const stopWatching = environment({
    frozen: (frozen) => {
      if (frozen) sayGoodbye();
      hold("frozen", frozen);
    },
    onBattery: (now) => {
      onBattery = now;
      hold("battery", keepOffBattery && onBattery);
    },
    leaving: () => {
      sayGoodbye();
      tell({ kind: "stop" });
    },
  });

  return {
    start({ run, fallback }) {
      ensureWorker().postMessage({
        kind: "start",
        run,
        fallback,
        origin: origin(),
        name,
        effort,
        allowSoftwareGpu: options.allowSoftwareGpu ?? null,
      });
      if (keepOffBattery && onBattery) hold("battery", true);
    },
    pause: (untilMs) => tell({ kind: "pause", untilMs: untilMs ?? null }),
    resume: () => tell({ kind: "resume" }),
    finish: () => tell({ kind: "finish" }),
    stop: () => tell({ kind: "stop" }),
    setEffort(wanted) {
      effort = wanted;
      if (worker === null) show({ ...current, effort });
      else tell({ kind: "effort", effort });
    },
    setName(wanted) {
      name = wanted;
      if (worker === null) show({ ...current, name });
      else tell({ kind: "name", name });
    },
    setKeepOffBattery(keepOff) {
      keepOffBattery = keepOff;
      hold("battery", keepOffBattery && onBattery);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    snapshot: () => current,
    dispose() {
      stopWatching();
      listeners.clear();
      tell({ kind: "stop" });
      const leaving = worker;
      worker = null;
      if (leaving !== null) setTimeout(() => leaving.terminate(), GOODBYE_MS);
    },
  };
}
