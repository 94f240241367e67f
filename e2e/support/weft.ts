// The command line as a stranger runs it: in a folder that knows nothing of the coordinator.
import { spawn } from "node:child_process";

export const WEFT = new URL("../../apps/cli/dist/main.js", import.meta.url).pathname;

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
}

/** `weft` in the folder `cwd`, with all that it says. */
export function weft(cwd: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [WEFT, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        out += text;
      });
    child.once("exit", (code) => resolve({ code, out }));
  });
}
