import type { RunDetail, Snapshot } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { createObserver } from "./observer.ts";

/** A line whose other end is the test. */
function fakeLine() {
  const handlers = new Map<string, (value?: unknown) => void>();
  const asked: unknown[] = [];
  let reply: unknown = { ok: true, value: null };
  const socket = {
    connected: false,
    on(event: string, handler: (value?: unknown) => void) {
      handlers.set(event, handler);
      return socket;
    },
    emit(_event: string, message: unknown, ack: (reply: unknown) => void) {
      asked.push(message);
      ack(reply);
      return socket;
    },
  };
  return {
    asked,
    connect: () => socket as never,
    refuse: (message: string) => {
      reply = { ok: false, code: "unknown-run", message };
    },
    fire(event: string, value?: unknown) {
      if (event === "connect") socket.connected = true;
      if (event === "disconnect") socket.connected = false;
      handlers.get(event)?.(value);
    },
  };
}
const snapshot = (run: string | null): Snapshot => ({
  atMs: 1_000,
  volunteersNow: 0,
  runs: [],
  detail: run === null ? null : ({ run } as RunDetail),
});

describe("the observer", () => {
  it("asks again for its run after each reconnect", () => {
    const line = fakeLine();
    const observer = createObserver(line.connect, () => 1_250);
    observer.open();
    observer.watch("digits");
    expect(line.asked).toEqual([]);
    line.fire("connect");
    line.fire("disconnect");
    expect(observer.store.getState().line).toBe("down");
    line.fire("connect");
    expect(observer.store.getState().line).toBe("up");
    expect(line.asked).toEqual([{ run: "digits" }, { run: "digits" }]);
  });

  it("does not show a run that is no longer asked for", () => {
    const line = fakeLine();
    const observer = createObserver(line.connect, () => 1_250);
    observer.open();
    line.fire("connect");
    observer.watch("digits");
    line.fire("snapshot", snapshot("digits"));
    expect(observer.store.getState().detail?.run).toBe("digits");
    observer.watch("austen");
    line.fire("snapshot", snapshot("digits"));
    expect(observer.store.getState().detail).toBeNull();
    expect(observer.store.getState().clockSkewMs).toBe(250);
  });

  it("keeps the coordinator's sentence about an unknown run, and drops it with the next question", () => {
    const line = fakeLine();
    const observer = createObserver(line.connect);
    observer.open();
    line.fire("connect");
    line.refuse("There is no run called nobody.");
    observer.watch("nobody");
    expect(observer.store.getState().refusal).toBe("There is no run called nobody.");
    observer.watch(null);
    expect(observer.store.getState().watched).toBeNull();
  });
});
