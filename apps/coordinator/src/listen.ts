// Opens the one HTTP or HTTPS server. Turns what can go wrong with certificates, addresses and ports into sentences. Knows no routes.
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server, STATUS_CODES } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createSecureContext } from "node:tls";
import type { Settings } from "./config.ts";
import { messageOf, StartError, systemCode } from "./start-error.ts";

export interface TimeLimits {
  readonly headersMs: number;
  /** The whole request, its body included. */
  readonly requestMs: number;
  readonly checkEveryMs: number;
}
/** A request is a few hundred bytes of headers and at most MAX_JSON_BODY_BYTES: seconds even on a poor line. Answers may take longer. */
const TIME_LIMITS: TimeLimits = { headersMs: 10_000, requestMs: 20_000, checkEveryMs: 2_000 };

async function readTls({ cert, key }: { readonly cert: string; readonly key: string }) {
  const read = (file: string): Promise<Buffer> =>
    readFile(file).catch((error: unknown) => {
      throw new StartError("tls-missing", `The TLS file ${file} cannot be read: ${messageOf(error)}.`, { cause: error });
    });
  const pair = { cert: await read(cert), key: await read(key) };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new StartError("tls-invalid", `The files ${cert} and ${key} are not a PEM certificate and its key: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  return pair;
}

/** A server that answers nothing yet. */
export async function makeServer(settings: Pick<Settings, "tls">, listener: RequestListener, limits = TIME_LIMITS): Promise<Server> {
  const options = { headersTimeout: limits.headersMs, requestTimeout: limits.requestMs, connectionsCheckingInterval: limits.checkEveryMs };
  const server =
    settings.tls === null
      ? createServer(options, listener)
      : createSecureServer({ ...options, ...(await readTls(settings.tls)) }, listener);
  // What is not HTTP at all, or has headers too large: the refusal's shape all the same.
  server.on("clientError", (error, socket) => {
    if (!socket.writable) return;
    const isLate = systemCode(error) === "ERR_HTTP_REQUEST_TIMEOUT";
    const status = isLate ? 408 : systemCode(error) === "HPE_HEADER_OVERFLOW" ? 431 : 400;
    const message = isLate ? "The request took too long to arrive." : "This is no HTTP request that can be read.";
    const body = JSON.stringify({ ok: false, code: "bad-message", message });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
      // The other side may never close its half.
      () => socket.destroy(),
    );
  });
  return server as Server;
}

/** The port it listens on. */
export function listen(server: Server, { host, port }: Pick<Settings, "host" | "port">): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const code = systemCode(error);
      if (code === "EADDRINUSE")
        reject(new StartError("port-in-use", `Port ${port} on ${host} is in use; stop what uses it or choose another with --port.`));
      else if (code === "EACCES")
        reject(new StartError("port-forbidden", `Port ${port} may not be opened by this user; choose one above 1023.`));
      else reject(new StartError("bad-address", `The address ${host} cannot be listened on: ${error.message}.`, { cause: error }));
    };
    server.once("error", fail);
    server.listen(port, host, () => {
      server.off("error", fail);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
