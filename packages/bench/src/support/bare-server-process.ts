// The least that can take updates in: an HTTP server that hashes what comes, writes it to a file of its own and answers when that is synced. What
// it needs is the cost of sockets and disk; what the coordinator needs beyond it is the coordinator's. Started by bare-server.ts.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

const folder = process.argv[2] ?? "";

async function take(request: IncomingMessage): Promise<string> {
  const file = await open(join(folder, `bare-${request.url?.slice(1)}`), "wx");
  const hash = createHash("sha256");
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

const server = createServer((request, response) => {
  take(request).then(
    (sha256) => response.end(sha256),
    (error: unknown) => response.destroy(error as Error),
  );
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.once("disconnect", () => process.exit());
