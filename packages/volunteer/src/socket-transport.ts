// The transport over Socket.IO: websocket only, namespace /volunteer, one packed binary buffer a message. Runs in browsers and in Node.
// Knows nothing of what is said over it.
import { refuse } from "@weft/protocol";
import type { io as Io } from "socket.io-client";
import type { Connection, Transport, TransportHandlers } from "./transport.ts";

const NOTICES = ["challenge", "work", "revoke"] as const;
const CONNECT_MS = 10_000;

/** `url` is the coordinator's address, for example `https://weft.example`; `io` is socket.io-client's. */
export const socketTransport = (url: string, io: typeof Io): Transport => ({
  connect(handlers: TransportHandlers): Connection {
    // The state machine reconnects: it knows which work is still worth sending. Without `forceNew` two volunteers of one process would share a line.
    const socket = io(new URL("/volunteer", url).href, {
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      timeout: CONNECT_MS,
      autoConnect: false,
    });
    let over = false;
    const end = (reason: string): void => {
      if (over) return;
      over = true;
      socket.disconnect();
      handlers.disconnected(reason);
    };
    socket.on("connect", () => handlers.connected());
    socket.on("disconnect", (reason) => end(reason));
    socket.on("connect_error", (error) => end(error.message));
    for (const event of NOTICES)
      socket.on(event, (message: unknown) => {
        if (!over) handlers.notice(event, message);
      });
    socket.connect();
    return {
      async request(event, message, timeoutMs) {
        if (over || !socket.connected) return refuse("unavailable", "There is no connection.");
        try {
          return await socket.timeout(timeoutMs).emitWithAck(event, message);
        } catch {
          return refuse("unavailable", "The coordinator did not answer.");
        }
      },
      close() {
        over = true;
        socket.disconnect();
      },
    };
  },
});
