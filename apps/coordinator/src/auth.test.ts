// Signing in, over HTTP and to the admin namespace: the one-time token, the password, the session cookie, the key of this machine, and the end of each.
import { ADMIN_TOKEN_MS } from "@weft/protocol";
import { io, type Socket } from "socket.io-client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cookieOf, post, startTestCoordinator, type TestCoordinator } from "./test/harness.ts";

// A start takes seconds where the machine is busy.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 });

let coordinator: TestCoordinator;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect();
  await coordinator.end();
});

const tokenOf = (): string => new URL(coordinator.started.adminUrl).hash.replace("#token=", "");
const call = (path: string, body: unknown, cookie?: string) =>
  coordinator.raw({ path: `/api/admin/${path}`, ...post(coordinator.origin, body, cookie === undefined ? {} : { cookie }) });
const session = async (cookie?: string) =>
  (await coordinator.raw({ path: "/api/admin/session", headers: cookie === undefined ? {} : { cookie } })).json.value;
const PERSON = { name: "Ada", email: "ada@example.org", password: "correct horse battery" };

async function signedIn(): Promise<string> {
  const answer = await call("exchange", { token: tokenOf() });
  expect(answer.status).toBe(200);
  return cookieOf(answer);
}
function connectAdmin(options: Record<string, unknown>): Promise<Socket> {
  const socket = io(`${coordinator.origin}/admin`, { transports: ["websocket"], reconnection: false, forceNew: true, ...options });
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    socket.on("connect", () => resolve(socket));
    socket.on("connect_error", reject);
  });
}

describe("the one-time token", () => {
  it("is 256 random bits in the fragment, works once, and gives a strict, hidden cookie", async () => {
    coordinator = await startTestCoordinator();
    expect(coordinator.started.adminUrl).toMatch(/^http:\/\/localhost:\d+\/admin#token=[\w-]{43}$/);
    expect(await session()).toEqual({ signedIn: false, name: null, role: null, passwordSet: false });
    const answer = await call("exchange", { token: tokenOf() });
    expect(String(answer.headers["set-cookie"])).toMatch(/^weft\.session_token=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(await session(cookieOf(answer))).toEqual({ signedIn: true, name: "Admin", role: "admin", passwordSet: false });
    const again = await call("exchange", { token: tokenOf() });
    expect([again.status, again.json.code]).toEqual([401, "bad-token"]);
    expect(again.headers["set-cookie"]).toBeUndefined();
  });

  it("expires after a quarter of an hour", async () => {
    let nowMs = 1_000_000;
    coordinator = await startTestCoordinator({ now: () => nowMs });
    nowMs += ADMIN_TOKEN_MS;
    expect((await call("exchange", { token: tokenOf() })).json.code).toBe("bad-token");
  });

  it("cannot be guessed at speed: attempts of one address are limited", async () => {
    coordinator = await startTestCoordinator();
    const codes: string[] = [];
    for (let attempt = 0; attempt < 12; attempt++) codes.push((await call("exchange", { token: "guess" })).json.code);
    expect(codes.slice(0, 10).every((code) => code === "bad-token")).toBe(true);
    expect(codes.slice(10)).toEqual(["rate-limited", "rate-limited"]);
    const refused = await call("sign-in", { email: PERSON.email, password: PERSON.password });
    expect([refused.status, Number(refused.headers["retry-after"]) > 0]).toEqual([429, true]);
  });
});

describe("the password", () => {
  it("is chosen once while signed in, signs in afterwards, and ends the tokens of later starts", async () => {
    coordinator = await startTestCoordinator();
    const { folder } = coordinator;
    expect((await call("password", PERSON)).json.code).toBe("unauthorized");
    const cookie = await signedIn();
    expect((await call("password", { ...PERSON, password: "short" }, cookie)).json.code).toBe("bad-message");
    expect((await call("password", { ...PERSON, email: "nowhere" }, cookie)).json.code).toBe("bad-message");
    expect((await call("password", { ...PERSON, name: "a\u202eb" }, cookie)).json.code).toBe("bad-name");
    expect((await call("password", PERSON, cookie)).json).toEqual({ ok: true, value: null });
    expect((await call("password", PERSON, cookie)).json.code).toBe("bad-command");
    expect(await session(cookie)).toEqual({ signedIn: true, name: "Ada", role: "admin", passwordSet: true });
    await coordinator.stop();

    coordinator = await startTestCoordinator({ dataFolder: folder });
    expect(coordinator.started.adminUrl).toBe(`${coordinator.origin}/admin`);
    expect((await session(cookie)).signedIn).toBe(true);
    const wrong = await call("sign-in", { email: PERSON.email, password: "incorrect horse" });
    const nobody = await call("sign-in", { email: "bob@example.org", password: PERSON.password });
    expect([wrong.status, wrong.json]).toEqual([401, nobody.json]);
    const right = await call("sign-in", { email: PERSON.email, password: PERSON.password });
    expect((await session(cookieOf(right))).name).toBe("Ada");
  });
});

describe("the admin namespace", () => {
  it("refuses who is not signed in", async () => {
    coordinator = await startTestCoordinator();
    await expect(connectAdmin({})).rejects.toMatchObject({ data: { ok: false, code: "unauthorized" } });
    await expect(connectAdmin({ auth: { key: "0".repeat(64) } })).rejects.toMatchObject({ data: { code: "unauthorized" } });
    await expect(connectAdmin({ extraHeaders: { cookie: "weft.session_token=forged.AAAA" } })).rejects.toMatchObject({
      data: { code: "unauthorized" },
    });
  });

  it("refuses foreign origins before anything else", async () => {
    coordinator = await startTestCoordinator();
    const cookie = await signedIn();
    await expect(connectAdmin({ extraHeaders: { cookie, origin: "https://evil.example" } })).rejects.toThrow();
  });

  it("takes commands, and signing out disconnects", async () => {
    coordinator = await startTestCoordinator();
    const cookie = await signedIn();
    const socket = await connectAdmin({ extraHeaders: { cookie, origin: coordinator.origin } });
    expect(await socket.emitWithAck("command", { type: "pause-run", run: "none" })).toMatchObject({ ok: false, code: "unknown-run" });
    expect(await socket.emitWithAck("command", 7)).toMatchObject({ ok: false, code: "bad-message" });
    const gone = new Promise((resolve) => socket.once("disconnect", resolve));
    await call("sign-out", {}, cookie);
    expect(await gone).toBe("io server disconnect");
    expect((await session(cookie)).signedIn).toBe(false);
    await expect(connectAdmin({ extraHeaders: { cookie } })).rejects.toMatchObject({ data: { code: "unauthorized" } });
  });

  it("knows the key of this machine", async () => {
    coordinator = await startTestCoordinator();
    const socket = await connectAdmin({ auth: { key: coordinator.adminKey } });
    expect(await socket.emitWithAck("watch", { run: null })).toEqual({ ok: true, value: null });
  });
});

describe("pictures", () => {
  it("come to observers after a watch; strange messages get a refusal each", async () => {
    coordinator = await startTestCoordinator();
    const socket = io(`${coordinator.origin}/observer`, { transports: ["websocket"], reconnection: false, forceNew: true });
    sockets.push(socket);
    const snapshot = new Promise((resolve) => socket.once("snapshot", resolve));
    expect(await socket.emitWithAck("watch", { run: null })).toEqual({ ok: true, value: null });
    expect(await snapshot).toMatchObject({ runs: [], detail: null });
    expect(await socket.emitWithAck("watch", { run: "none" })).toMatchObject({ code: "unknown-run" });
    expect(await socket.emitWithAck("watch", "digits")).toMatchObject({ code: "bad-message" });
    expect(await socket.emitWithAck("watch", { run: null }, 1)).toMatchObject({ code: "bad-message" });
    expect(await socket.emitWithAck("command", { type: "stop-run", run: "digits" })).toMatchObject({ code: "bad-message" });
    socket.emit("watch");
    socket.emit("watch", null);
    const codes = new Set<string>();
    for (let turn = 0; turn < 8; turn++) codes.add((await socket.emitWithAck("watch", { run: null })).code);
    expect(codes).toContain("rate-limited");
  });
});
