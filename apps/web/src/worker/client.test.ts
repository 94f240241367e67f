// The page's side of the volunteer: what it tells the worker, and the goodbye it says itself when the page goes.
import { describe, expect, it } from "vitest";
import { createVolunteerClient, IDLE_SNAPSHOT, type VolunteerClient, type WorkerLike } from "./client.ts";
import type { EnvironmentHandlers } from "./environment.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

interface World {
  readonly client: VolunteerClient;
  readonly page: EnvironmentHandlers;
  readonly told: ToWorker[];
  readonly goodbyes: string[];
  hear(message: FromWorker): void;
  fail(message: string): void;
}
function world(): World {
  const told: ToWorker[] = [];
  const goodbyes: string[] = [];
  let page: EnvironmentHandlers | null = null;
  const workers: WorkerLike[] = [];
  const client = createVolunteerClient({
    origin: "https://weft.test",
    createWorker: () => {
      const worker: WorkerLike = {
        postMessage: (message) => told.push(message),
        onmessage: null,
        onerror: null,
        terminate: () => undefined,
      };
      workers.push(worker);
      return worker;
    },
    environment: (handlers) => {
      page = handlers;
      return () => undefined;
    },
    sendGoodbye: (origin, farewell) => goodbyes.push(`${origin} ${farewell}`),
  });
  client.start({ run: null, fallback: false });
  if (page === null) throw new Error("the client watches its page");
  return {
    client,
    page,
    told,
    goodbyes,
    hear: (data) => workers.at(-1)?.onmessage?.({ data } as MessageEvent<FromWorker>),
    fail: (message) => workers.at(-1)?.onerror?.({ message } as ErrorEvent),
  };
}
const kinds = ({ told }: World): readonly string[] => told.map(({ kind }) => kind);

describe("the page that goes", () => {
  it("says goodbye itself with the newest connection's word, once, and tells the worker to stop", () => {
    const w = world();
    w.hear({ kind: "farewell", farewell: "first" });
    w.hear({ kind: "farewell", farewell: "second" });
    w.page.leaving();
    w.page.leaving();
    expect(w.goodbyes).toEqual(["https://weft.test second"]);
    expect(kinds(w)).toEqual(["start", "stop", "stop"]);
  });

  it("says nothing before there was a connection", () => {
    const w = world();
    w.page.leaving();
    expect(w.goodbyes).toEqual([]);
  });

  it("is held while it is frozen, and goes on with a new connection when it is back", () => {
    const w = world();
    w.hear({ kind: "farewell", farewell: "first" });
    w.page.frozen(true);
    expect(w.goodbyes).toEqual(["https://weft.test first"]);
    w.page.frozen(false);
    w.hear({ kind: "farewell", farewell: "second" });
    expect(w.told.slice(1)).toEqual([
      { kind: "hold", reason: "frozen" },
      { kind: "unhold", reason: "frozen" },
    ]);
    w.page.leaving();
    expect(w.goodbyes).toEqual(["https://weft.test first", "https://weft.test second"]);
  });
});

describe("the client", () => {
  it("holds for the battery only while that is wished", () => {
    const w = world();
    w.page.onBattery(true);
    w.client.setKeepOffBattery(true);
    w.page.onBattery(false);
    expect(w.told.slice(1)).toEqual([
      { kind: "unhold", reason: "battery" },
      { kind: "hold", reason: "battery" },
      { kind: "unhold", reason: "battery" },
    ]);
  });

  it("says that its worker failed, and begins anew with another", () => {
    const w = world();
    w.hear({ kind: "snapshot", snapshot: { ...IDLE_SNAPSHOT, status: { state: "working" } } });
    expect(w.client.snapshot().status).toEqual({ state: "working" });
    w.fail("out of memory");
    expect(w.client.snapshot().status).toEqual({ state: "unfit", reason: "failed", detail: "The worker failed: out of memory" });
    w.client.start({ run: "digits", fallback: true });
    w.hear({ kind: "snapshot", snapshot: { ...IDLE_SNAPSHOT, status: { state: "working" } } });
    expect(w.client.snapshot().status).toEqual({ state: "working" });
  });
});
