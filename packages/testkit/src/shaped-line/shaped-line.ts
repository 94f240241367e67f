// A line as homes have it between a volunteer and a coordinator: a proxy on a loopback port through which all of the volunteer's connections
// share one speed up, one speed down and a round trip. Carries bytes; knows nothing of what they mean.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Lane, type LaneClock } from "./lane.ts";

export interface LineSpeed {
  readonly upBitsPerSecond: number;
  readonly downBitsPerSecond: number;
  readonly roundTripMs: number;
}

export interface ShapedLine {
  readonly port: number;
  /** Bytes that went up and down so far, all connections together. */
  carried(): { readonly upBytes: number; readonly downBytes: number };
  /** Cuts what is open. */
  close(): Promise<void>;
}

/** Connections take turns on the line in pieces of this size: a small message does not wait for the whole of a large one. */
const PIECE_BYTES = 8 * 1024;
/** Of one connection, this much may wait for the line; then its sender waits, as behind a small router's buffer. */
const WAITING_BYTES = 64 * 1024;

const REAL_CLOCK: LaneClock = { now: () => performance.now(), after: (ms, then) => setTimeout(then, ms) };

/** A line to `targetPort` on loopback. A connection that one side ends or breaks ends at the other when what was sent before has arrived. */
export async function shapedLine(targetPort: number, speed: LineSpeed, clock: LaneClock = REAL_CLOCK): Promise<ShapedLine> {
  const delayMs = speed.roundTripMs / 2;
  const up = new Lane(clock, { bitsPerSecond: speed.upBitsPerSecond, delayMs });
  const down = new Lane(clock, { bitsPerSecond: speed.downBitsPerSecond, delayMs });
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: targetPort, host: "localhost", allowHalfOpen: true });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.once("close", () => open.delete(socket));
    }
    carry(near, far, up);
    carry(far, near, down);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "localhost", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    carried: () => ({ upBytes: up.carriedBytes, downBytes: down.carriedBytes }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function carry(from: Socket, to: Socket, lane: Lane): void {
  const most = WAITING_BYTES + lane.onTheWayBytes;
  let sentBytes = 0;
  from.on("data", (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      sentBytes += piece.length;
      lane.send(piece.length, () => {
        sentBytes -= piece.length;
        if (sentBytes < most) from.resume();
        if (to.writable) to.write(piece);
      });
    }
    if (sentBytes >= most) from.pause();
  });
  from.once("end", () => lane.send(0, () => to.end()));
  // A connection that breaks closes without having ended.
  from.once("error", () => lane.send(0, () => to.destroy()));
  from.once("close", () => lane.send(0, () => (to.writable ? to.end() : undefined)));
}
