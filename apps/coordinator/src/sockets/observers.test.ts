// A page that asks and asks and reads nothing: its pictures must not pile up in the coordinator. Real sockets, a coordinator with a large run.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { CoordinatorApi } from "@weft/coordinator";
import { Server } from "socket.io";
import { io, type Socket } from "socket.io-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { backlogOf, type Connection } from "./backlog.ts";
import { serveObservers } from "./observers.ts";

const DETAIL_BYTES = 8 * 1024 ** 2;
const detail = { run: "large", text: "x".repeat(DETAIL_BYTES) };
const coordinator = {
  runs: () => [],
  detail: (run: string) => (run === "large" ? detail : null),
  subscribe: () => () => undefined,
  volunteersNow: () => 0,
} as unknown as CoordinatorApi;

let server: Server;
let page: Socket;
beforeEach(async () => {
  const http = createServer();
  server = new Server(http, { transports: ["websocket"], perMessageDeflate: false });
  serveObservers(server.of("/observer"), coordinator);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  page = io(`http://127.0.0.1:${port}/observer`, { transports: ["websocket"], reconnection: false, forceNew: true });
  await new Promise<void>((resolve) => page.once("connect", resolve));
});
afterEach(async () => {
  page.disconnect();
  await server.close();
});

const connection = (): Connection => [...server.of("/observer").sockets.values()][0]?.conn as unknown as Connection;
/** The raw TCP connection below the page's websocket. */
const wire = (): { pause(): void; resume(): void } =>
  (page.io.engine.transport as unknown as { ws: { _socket: { pause(): void; resume(): void } } }).ws._socket;

test("one whole picture at most waits for a page that reads nothing, and it gets the last one it asked for", async () => {
  expect(await page.emitWithAck("watch", { run: "large" })).toEqual({ ok: true, value: null });
  const seen: (string | null)[] = [];
  page.on("snapshot", (snapshot: { detail: { run: string } | null }) => seen.push(snapshot.detail?.run ?? null));
  wire().pause();
  for (const run of ["large", "large", "large", null]) page.emit("watch", { run });
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(backlogOf(connection())).toBeLessThan(1.5 * DETAIL_BYTES);
  wire().resume();
  await vi.waitFor(() => expect(seen.at(-1)).toBeNull(), { timeout: 5_000 });
  expect(seen.length).toBeLessThan(4);
});

test("changes of the watched run are bounded in a second", async () => {
  const replies = await Promise.all(Array.from({ length: 8 }, () => page.emitWithAck("watch", { run: null })));
  expect(replies.filter(({ ok }) => ok)).toHaveLength(5);
  expect(replies.at(-1)).toMatchObject({ ok: false, code: "rate-limited", retryAfterMs: 1_000 });
});

test("a page that sends without end is disconnected", async () => {
  const gone = new Promise((resolve) => page.once("disconnect", resolve));
  for (let count = 0; count < 60; count += 1) page.emit("nonsense");
  await gone;
});

test("a run that is not there is said, and the list is sent all the same", async () => {
  const sent = new Promise((resolve) => page.once("snapshot", resolve));
  expect(await page.emitWithAck("watch", { run: "none" })).toMatchObject({ ok: false, code: "unknown-run" });
  expect(await sent).toMatchObject({ runs: [], detail: null });
});
