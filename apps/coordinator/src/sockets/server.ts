// The Socket.IO server on the HTTP server: its limits, who may connect, and which namespaces there are.
import type { Server as HttpServer } from "node:http";
import type { CoordinatorApi } from "@weft/coordinator";
import { MAX_SOCKET_MESSAGE_BYTES, PING_INTERVAL_MS, PING_TIMEOUT_MS, refuse } from "@weft/protocol";
import { Server } from "socket.io";
import type { Accounts } from "../accounts/accounts.ts";
import type { Gate } from "../accounts/who.ts";
import type { OriginPolicy } from "../http/origins.ts";
import { limitBacklogs } from "./backlog.ts";
import { serveAdmins, serveObservers } from "./observers.ts";
import { serveVolunteers } from "./volunteers.ts";

export interface SocketsContext {
  readonly http: HttpServer;
  readonly coordinator: CoordinatorApi;
  readonly accounts: Accounts;
  readonly gate: Gate;
  readonly origins: OriginPolicy;
}

const FOREIGN = JSON.stringify(refuse("bad-origin", "This connection must come from the coordinator's own pages."));

export function serveSockets({ http, coordinator, accounts, gate, origins }: SocketsContext): Server {
  const server = new Server(http, {
    // With polling first, binary would travel as base64 until the upgrade.
    transports: ["websocket"],
    serveClient: false,
    maxHttpBufferSize: MAX_SOCKET_MESSAGE_BYTES,
    pingInterval: PING_INTERVAL_MS,
    pingTimeout: PING_TIMEOUT_MS,
    // Updates do not compress, and compressing them costs fifty times their parsing.
    perMessageDeflate: false,
    httpCompression: false,
    connectTimeout: 10_000,
    allowRequest: (request, callback) => {
      const allowed = origins.originAllowed(request.headers.origin ?? null, request.headers.host ?? null);
      // Engine.IO sends the text as the body; the status, 400, is its own.
      callback(allowed ? null : FOREIGN, allowed);
    },
  });
  const unwatch = limitBacklogs(server);
  http.once("close", unwatch);
  serveVolunteers(server.of("/volunteer"), coordinator);
  serveObservers(server.of("/observer"), coordinator);
  serveAdmins(server.of("/admin"), coordinator, { accounts, gate });
  // The main namespace offers nothing.
  server.of("/").use((_socket, next) => next(new Error("not-found")));
  return server;
}
