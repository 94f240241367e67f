// Namespace /volunteer: carries messages between a volunteer's socket and its session in the core. Decides nothing.
import type { CoordinatorApi, VolunteerPort } from "@weft/coordinator";
import { PING_TIMEOUT_MS } from "@weft/protocol";
import type { Namespace } from "socket.io";
import { collector } from "../thread-memory.ts";
import { answerAll } from "./ask.ts";

export function serveVolunteers(namespace: Namespace, coordinator: CoordinatorApi): void {
  const dropped = collector();
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
      // A chunk was copied once on its way here, and neither copy is wanted any more.
      if (message instanceof Uint8Array) dropped(2 * message.byteLength);
      return answer;
    });
    // Who did not answer a ping has had that time to come back.
    socket.on("disconnect", (reason) => session.disconnected(reason === "ping timeout" ? PING_TIMEOUT_MS : 0));
  });
}
