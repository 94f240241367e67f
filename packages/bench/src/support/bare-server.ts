// Starts the bare server (bare-server-process.ts) in a process of its own, sends it updates, and ends it. Knows no bench.
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { Agent, request } from "node:http";

export interface BareServer {
  readonly pid: number;
  /** Each on a connection of its own, all at once; gives the milliseconds until all are synced. Rejects where what was written has not the bytes' hash. */
  send(payloads: readonly Uint8Array[]): Promise<number>;
  stop(): Promise<void>;
}

/** It writes in `folder`, and leaves there what it wrote. */
export async function startBareServer(folder: string): Promise<BareServer> {
  const child = fork(new URL("./bare-server-process.ts", import.meta.url), [folder], { execArgv: ["--import", "tsx"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(message as number));
    void ended.then(() => reject(new Error("the bare server did not start")));
  });
  let files = 0;
  const agent = new Agent({ keepAlive: true });
  const put = (name: number, bytes: Uint8Array): Promise<string> =>
    new Promise((resolve, reject) => {
      const path = `/${name}`;
      const headers = { "content-length": bytes.length };
      const sending = request({ agent, host: "127.0.0.1", port, method: "PUT", path, headers }, (response) => {
        let answer = "";
        response.setEncoding("latin1");
        response.on("data", (text: string) => {
          answer += text;
        });
        response.once("end", () => resolve(answer));
        response.once("error", reject);
      });
      sending.once("error", reject);
      sending.end(bytes);
    });
  return {
    pid: child.pid ?? 0,
    send: async (payloads) => {
      const expected = payloads.map((bytes) => createHash("sha256").update(bytes).digest("hex"));
      const beganMs = performance.now();
      const answers = await Promise.all(payloads.map((bytes) => put(files++, bytes)));
      const tookMs = performance.now() - beganMs;
      if (answers.some((sha256, index) => sha256 !== expected[index])) throw new Error("the bare server took other bytes than were sent");
      return tookMs;
    },
    stop: async () => {
      agent.destroy();
      child.disconnect();
      await ended;
    },
  };
}
