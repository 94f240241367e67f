// The volunteer's own thread in the browser: socket, state machine and identity live here, the engine in a worker nested in this one,
// so that heartbeats go on while a step blocks. Draws nothing and decides nothing.
import { volunteerData } from "@weft/datasets";
import { sha256 } from "@weft/ledger";
import { drawSample, visitedSample } from "@weft/training";
import { engineInThread, httpBlobs, socketTransport, systemClock, Volunteer, type VolunteerSnapshot } from "@weft/volunteer";
import { io } from "socket.io-client";
import { browserIdentity } from "./identity-store.ts";
import type { FromWorker, StartMessage, ToWorker } from "./messages.ts";
import { browserResiduals } from "./residual-store.ts";
import { soleTab } from "./sole-tab.ts";

interface Port {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}
const port = globalThis as unknown as Port;
const tab = soleTab("weft-volunteer");

/** Snapshots to the page: at most ten a second, the newest always in the end. */
const SNAPSHOT_MS = 100;
let newest: VolunteerSnapshot | null = null;
let scheduled = false;
function show(snapshot: VolunteerSnapshot): void {
  newest = snapshot;
  if (scheduled) return;
  scheduled = true;
  port.postMessage({ kind: "snapshot", snapshot });
  setTimeout(() => {
    scheduled = false;
    if (newest !== snapshot && newest !== null) show(newest);
  }, SNAPSHOT_MS);
}

const toHex = (bytes: ArrayBuffer): string => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
/** SubtleCrypto is hidden outside a secure context. */
const hash = async (bytes: Uint8Array): Promise<string> =>
  globalThis.crypto.subtle === undefined ? sha256(bytes) : toHex(await crypto.subtle.digest("SHA-256", bytes as BufferSource));

interface EngineWishes {
  readonly preference: "auto" | "webgpu";
  readonly allowSoftwareGpu: boolean;
}
const startEngine = (wishes: EngineWishes) =>
  engineInThread(
    ({ answered, failed }) => {
      const worker = new Worker(new URL("./engine-worker.ts", import.meta.url), { type: "module", name: "weft-engine" });
      worker.onmessage = ({ data }) => answered(data);
      worker.onerror = (event) => failed(`The engine's worker failed: ${event.message || "it could not be loaded"}`);
      return { post: (call, transfer) => worker.postMessage(call, [...transfer]), terminate: () => worker.terminate() };
      // One processor is left to the page and to everything else.
    },
    { ...wishes, threads: navigator.hardwareConcurrency - 1 },
  );

async function allowsSoftwareGpu(origin: string): Promise<boolean> {
  try {
    const info = (await (await fetch(new URL("/api/info", origin))).json()) as { readonly value?: { readonly allowSoftwareGpu?: unknown } };
    return info.value?.allowSoftwareGpu === true;
  } catch {
    return false;
  }
}

let wishes: EngineWishes = { preference: "webgpu", allowSoftwareGpu: false };
let volunteer: Promise<Volunteer> | null = null;

const ENDED: ReadonlySet<string> = new Set(["stopped", "refused", "unfit"]);

async function makeVolunteer({ origin, name, effort }: StartMessage): Promise<Volunteer> {
  const made = new Volunteer({
    identity: await browserIdentity(),
    createEngine: () => startEngine(wishes),
    data: (blobs) => volunteerData({ blobs, draw: drawSample, visit: visitedSample }),
    blobs: httpBlobs(origin),
    hash,
    clock: systemClock,
    transport: socketTransport(origin, io),
    origin,
    name,
    effort,
    residuals: browserResiduals(),
    seed: crypto.getRandomValues(new Uint32Array(1))[0] as number,
    onFarewell: (farewell) => port.postMessage({ kind: "farewell", farewell }),
  });
  made.subscribe((snapshot) => {
    show(snapshot);
    if (ENDED.has(snapshot.status.state)) tab.leave();
  });
  return made;
}

/** Counts starts: a stop while this tab waits for its turn makes the waiting start void. */
let starts = 0;

async function start(message: StartMessage): Promise<void> {
  starts += 1;
  const mine = starts;
  volunteer ??= makeVolunteer(message);
  const made = await volunteer;
  try {
    await tab.enter(() => show({ ...made.snapshot(), status: { state: "elsewhere" } }));
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    throw error;
  }
  if (mine !== starts) return;
  const allowSoftwareGpu = message.allowSoftwareGpu ?? (await allowsSoftwareGpu(message.origin));
  if (mine !== starts) return;
  wishes = { preference: message.fallback ? "auto" : "webgpu", allowSoftwareGpu };
  made.setName(message.name);
  made.setEffort(message.effort);
  made.start(message.run);
}

async function stop(): Promise<void> {
  starts += 1;
  const made = await volunteer;
  if (made === null) return;
  await made.stop();
  tab.leave();
  const { state } = made.snapshot().status;
  if (!ENDED.has(state)) show({ ...made.snapshot(), status: { state: "stopped" } });
}

async function handle(message: ToWorker): Promise<void> {
  if (message.kind === "start") return start(message);
  if (message.kind === "stop") return stop();
  const made = await volunteer;
  if (made === null) return;
  switch (message.kind) {
    case "pause":
      made.pause(message.untilMs);
      return;
    case "resume":
      made.resume();
      return;
    case "finish":
      // Still waiting for another tab: there is nothing to finish.
      if (made.snapshot().status.state === "idle") return stop();
      made.finish();
      return;
    case "effort":
      made.setEffort(message.effort);
      return;
    case "name":
      made.setName(message.name);
      return;
    case "hold":
      made.hold(message.reason);
      return;
    case "unhold":
      made.unhold(message.reason);
      return;
    default:
      message satisfies never;
  }
}

port.onmessage = ({ data }) => void handle(data);
