// A connection that takes nothing is ended after a while; one that catches up is not.
import { expect, test } from "vitest";
import { BacklogWatch, backlogOf, type Connection } from "./backlog.ts";

const MEBIBYTE = 1024 * 1024;

class FakeConnection implements Connection {
  writeBuffer: { readonly data?: unknown }[] = [];
  bufferedAmount = 0;
  ended = 0;
  readonly transport: Connection["transport"];
  constructor() {
    const mine = this;
    this.transport = {
      socket: {
        get bufferedAmount() {
          return mine.bufferedAmount;
        },
        terminate: () => {
          this.ended += 1;
        },
      },
    };
  }
  close(): void {}
}

test("text, bytes and many small packets all count", () => {
  const connection = new FakeConnection();
  connection.bufferedAmount = 100;
  connection.writeBuffer = [{ data: "x".repeat(1_000) }, { data: new Uint8Array(2_000) }, {}];
  expect(backlogOf(connection)).toBeGreaterThanOrEqual(3_100);
  connection.writeBuffer = Array.from({ length: 20_000 }, () => ({ data: "3" }));
  expect(backlogOf(connection)).toBeGreaterThan(4 * MEBIBYTE);
});

test("a connection above the bound for seconds is ended, a small or a short backlog is not", () => {
  const [stuck, short, small] = [new FakeConnection(), new FakeConnection(), new FakeConnection()];
  const watch = new BacklogWatch();
  stuck.bufferedAmount = 5 * MEBIBYTE;
  small.bufferedAmount = 3 * MEBIBYTE;
  for (let second = 0; second <= 10; second += 1) {
    short.bufferedAmount = second % 3 === 0 ? 0 : 50 * MEBIBYTE;
    watch.check([stuck, short, small], second * 1_000);
    if (second === 3) expect(stuck.ended).toBe(0);
  }
  expect(stuck.ended).toBeGreaterThan(0);
  expect([short.ended, small.ended]).toEqual([0, 0]);
});
