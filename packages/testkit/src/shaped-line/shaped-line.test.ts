// That the line is as slow as was said, in virtual time, and that what goes through it arrives whole, in order, and to its end.
import { createHash, randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../virtual-clock.ts";
import { Lane } from "./lane.ts";
import { shapedLine } from "./shaped-line.ts";

describe("a lane", () => {
  const KBYTE_MS = 1_000;
  /** 8 kbit/s: a byte a millisecond. */
  const lane = (clock: VirtualClock, delayMs = 0): Lane => new Lane(clock, { bitsPerSecond: 8_000, delayMs });

  it("takes for each parcel the time that its size says, one after another, and its delay once", async () => {
    const clock = new VirtualClock(0);
    const line = lane(clock, 25);
    const arrived: [string, number][] = [];
    line.send(1_000, () => arrived.push(["first", clock.now()]));
    line.send(500, () => arrived.push(["second", clock.now()]));
    line.send(0, () => arrived.push(["end", clock.now()]));
    await clock.advance(10 * KBYTE_MS);
    expect(arrived).toEqual([
      ["first", 1_025],
      ["second", 1_525],
      ["end", 1_525],
    ]);
    expect(line.carriedBytes).toBe(1_500);
  });

  it("saves no speed up while nothing is sent", async () => {
    const clock = new VirtualClock(0);
    const line = lane(clock);
    await clock.advance(5 * KBYTE_MS);
    const arrived: number[] = [];
    for (let parcel = 0; parcel < 3; parcel++) line.send(1_000, () => arrived.push(clock.now()));
    await clock.advance(5 * KBYTE_MS);
    expect(arrived).toEqual([6_000, 7_000, 8_000]);
  });

  it("is no slower where those who wake it come late", async () => {
    const clock = new VirtualClock(0);
    const late = { now: () => clock.now(), after: (ms: number, then: () => void) => clock.after(ms + 300, then) };
    const line = new Lane(late, { bitsPerSecond: 8_000, delayMs: 0 });
    let last = 0;
    for (let parcel = 0; parcel < 100; parcel++) line.send(100, () => (last = clock.now()));
    await clock.advance(20 * KBYTE_MS);
    expect(last).toBeGreaterThanOrEqual(10_000);
    expect(last).toBeLessThan(10_000 + 2 * 300);
  });

  it("without a speed is refused", () => {
    expect(() => new Lane(new VirtualClock(0), { bitsPerSecond: 0, delayMs: 1 })).toThrow("speed");
  });
});

describe("a shaped line", () => {
  const toClose: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of toClose.splice(0)) await close();
  });
  const FAST = { upBitsPerSecond: 400e6, downBitsPerSecond: 400e6, roundTripMs: 2 };

  async function listening(onConnection: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, onConnection);
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    toClose.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }
  const readAll = (socket: Socket): Promise<Buffer> =>
    new Promise((resolve) => {
      const parts: Buffer[] = [];
      socket.on("data", (part: Buffer) => parts.push(part));
      socket.once("end", () => resolve(Buffer.concat(parts)));
    });

  it("carries every byte in order, both ways, until each side has ended", async () => {
    const sent = randomBytes(3_000_000);
    const target = await listening((socket) => {
      // It answers only when the other has ended: half a connection stays open.
      void readAll(socket).then((bytes) => socket.end(Buffer.concat([createHash("sha256").update(bytes).digest(), bytes])));
    });
    const line = await shapedLine(target, FAST);
    toClose.push(() => line.close());
    const socket = connect({ port: line.port, host: "localhost", allowHalfOpen: true });
    socket.end(sent);
    const answer = await readAll(socket);
    expect(answer.subarray(0, 32).equals(createHash("sha256").update(sent).digest())).toBe(true);
    expect(answer.subarray(32).equals(sent)).toBe(true);
    expect(line.carried()).toEqual({ upBytes: sent.length, downBytes: sent.length + 32 });
  });

  it("gives nobody more than its speed, and all connections together no more than one", async () => {
    const target = await listening((socket) => socket.pipe(socket));
    const line = await shapedLine(target, { ...FAST, upBitsPerSecond: 8e6, roundTripMs: 20 });
    toClose.push(() => line.close());
    const beganMs = performance.now();
    await Promise.all(
      [0, 1].map(() => {
        const socket = connect({ port: line.port, host: "localhost", allowHalfOpen: true });
        socket.end(Buffer.alloc(100_000));
        return readAll(socket);
      }),
    );
    // 200,000 bytes at a megabyte a second, and the round trip. A busy machine takes longer.
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(200 + 20);
  });

  it("holds a fast sender back instead of keeping all that it sends", async () => {
    const target = await listening((socket) => socket.resume());
    const clock = new VirtualClock(0);
    const line = await shapedLine(target, { upBitsPerSecond: 8e6, downBitsPerSecond: 8e6, roundTripMs: 20 }, clock);
    toClose.push(() => line.close());
    const socket = connect(line.port, "localhost");
    socket.on("error", () => undefined);
    socket.write(Buffer.alloc(20_000_000));
    // Time stands still: what the line has taken by then is what it holds.
    for (let turn = 0; turn < 200; turn++) await clock.drain();
    expect(line.carried().upBytes).toBeGreaterThan(0);
    expect(line.carried().upBytes).toBeLessThan(300_000);
    socket.destroy();
  });

  it("ends a connection that finds nobody", async () => {
    const target = await listening(() => undefined);
    await toClose.pop()?.();
    const line = await shapedLine(target, FAST);
    toClose.push(() => line.close());
    const socket = connect(line.port, "localhost");
    await new Promise<void>((resolve) => {
      socket.on("error", () => undefined);
      socket.once("close", () => resolve());
      socket.resume();
    });
    expect(socket.destroyed).toBe(true);
  });
});
