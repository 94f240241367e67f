// Ends connections whose other side takes nothing: what is sent to it would pile up here. Knows no namespaces and no messages.
import type { Server } from "socket.io";

/** What may wait for one connection: several whole pictures of a long run, or seconds of acknowledgements. */
const MAX_BACKLOG_BYTES = 4 * 1024 ** 2;
/** A line that stalls for a moment, or a tab that the system woke, catches up within it. */
const BACKLOG_LIMIT_MS = 4_000;
const CHECK_MS = 1_000;
/** What a packet that waits takes beside its content. */
const PACKET_BYTES = 256;

/** The parts of an Engine.IO connection that are read here. `transport.socket` is the websocket. */
export interface Connection {
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  readonly transport: { readonly socket?: { readonly bufferedAmount: number; terminate(): void } };
  close(discard: boolean): unknown;
}

const sizeOf = (data: unknown): number => (typeof data === "string" ? data.length : ArrayBuffer.isView(data) ? data.byteLength : 0);

/** Bytes that were sent and have not left the process. */
export function backlogOf({ writeBuffer, transport }: Connection): number {
  let bytes = transport.socket?.bufferedAmount ?? 0;
  for (const { data } of writeBuffer) bytes += PACKET_BYTES + sizeOf(data);
  return bytes;
}

/** To be called regularly with all connections; ends those whose backlog has been above the bound for too long. */
export class BacklogWatch {
  readonly #sinceMs = new WeakMap<Connection, number>();
  check(connections: Iterable<Connection>, nowMs: number): void {
    for (const connection of connections) {
      if (backlogOf(connection) <= MAX_BACKLOG_BYTES) {
        this.#sinceMs.delete(connection);
        continue;
      }
      const sinceMs = this.#sinceMs.get(connection) ?? nowMs;
      this.#sinceMs.set(connection, sinceMs);
      if (nowMs - sinceMs < BACKLOG_LIMIT_MS) continue;
      // A polite end would wait behind the backlog.
      connection.transport.socket?.terminate();
      connection.close(true);
    }
  }
}

/** Watches all connections of the server until the function it gives back is called. */
export function limitBacklogs(server: Server): () => void {
  const watch = new BacklogWatch();
  // Engine.IO's types keep the map of its connections to itself.
  const { clients } = server.engine as unknown as { readonly clients: Readonly<Record<string, Connection>> };
  const timer = setInterval(() => watch.check(Object.values(clients), performance.now()), CHECK_MS);
  return () => clearInterval(timer);
}
