// A sender that never finishes gets a refusal and loses its connection.
import type { Server } from "node:http";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { listen, makeServer } from "./listen.ts";

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function talkTo(bytes: string): Promise<string> {
  server = await makeServer({ tls: null }, (request) => void request.resume(), { headersMs: 150, requestMs: 300, checkEveryMs: 50 });
  const port = await listen(server, { host: "127.0.0.1", port: 0 });
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => socket.write(bytes));
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.on("end", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
}

test.each([
  ["headers that never end", "GET / HTTP/1.1\r\nhost: localhost\r\n"],
  ["a body that never ends", "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{"],
])("%s: 408, and the end of the connection", async (_what, bytes) => {
  const answer = await talkTo(bytes);
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(answer).toMatch(/"ok":false,"code":"bad-message"/);
});
