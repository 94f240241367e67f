// Namespace /volunteer: carries messages between a volunteer's socket and its session in the core. Decides nothing.
import type { CoordinatorApi, VolunteerPort } from "@weft/coordinator";
import type { Namespace } from "socket.io";
import { answerAll } from "./ask.ts";

export function serveVolunteers(namespace: Namespace, coordinator: CoordinatorApi): void {
  namespace.on("connection", (socket) => {
    const port: VolunteerPort = {
      address: socket.handshake.address,
      origin: socket.handshake.headers.origin ?? null,
      send: (event: string, message: unknown) => void socket.emit(event, message),
      close: () => void socket.disconnect(true),
    };
    const session = coordinator.connect(port);
    answerAll(socket, (event, message) => session.handle(event, message));
    socket.on("disconnect", () => session.disconnected());
  });
}
