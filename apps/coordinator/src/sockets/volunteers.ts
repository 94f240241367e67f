// Namespace /volunteer: carries messages between a volunteer's socket and its session in the core. Decides nothing.
import type { CoordinatorApi, VolunteerPort } from "@weft/coordinator";
import { PING_TIMEOUT_MS } from "@weft/protocol";
import type { Namespace } from "socket.io";
import { collector, releaser } from "../thread-memory.ts";
import { answerAll } from "./ask.ts";

export function serveVolunteers(namespace: Namespace, coordinator: CoordinatorApi): void {
  const dropped = collector();
  const release = releaser();
  namespace.on("connection", (socket) => {
    const port: VolunteerPort = {
      address: socket.handshake.address,
      origin: socket.handshake.headers.origin ?? null,
      send: (event: string, message: unknown) => void socket.emit(event, message),
      close: () => void socket.disconnect(true),
    };
    const session = coordinator.connect(port);
    answerAll(socket, async (event, message) => {
      const answer = await session.handle(event, message);
      if (message instanceof Uint8Array) {
        // A chunk was put together of what the system gave: of that, nobody but V8 knows any more.
        dropped(message.byteLength);
        release(message);
      }
      return answer;
    });
    // Who did not answer a ping has had that time to come back.
    socket.on("disconnect", (reason) => session.disconnected(reason === "ping timeout" ? PING_TIMEOUT_MS : 0));
  });
}
