// The command line as a process of its own: exit codes, where it writes, and a data folder that a running coordinator holds.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { startTestCoordinator } from "../../coordinator/src/test/harness.ts";
import { temporaryFolder } from "./test/weft.ts";

vi.setConfig({ testTimeout: 60_000 });

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const started = (...args: string[]): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", MAIN, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let [out, err] = ["", ""];
    child.stdout.on("data", (text) => {
      out += String(text);
    });
    child.stderr.on("data", (text) => {
      err += String(text);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });

describe("weft as a process", () => {
  it("ends with 0 and writes to standard output, or with 1 and one sentence on standard error", async () => {
    const folder = await temporaryFolder();
    const [good, bad, unknown] = await Promise.all([
      started("datasets", "list", "--data", folder),
      started("datasets", "fetch", "mnist", "--data", folder, "--from", folder),
      started("datasets", "burn"),
    ]);
    expect([good.code, good.out.split("\n").length, good.err]).toEqual([0, 4, ""]);
    expect([bad.code, bad.out, bad.err]).toEqual([
      1,
      "1 of 4: train-images-idx3-ubyte\n",
      `The folder ${folder} has neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz.\n`,
    ]);
    expect([unknown.code, unknown.err.split("\n")[0]]).toEqual([1, "error: unknown command 'burn'"]);
  });

  it("leaves the folder of a running coordinator alone, and adds to it when that has stopped", async () => {
    const coordinator = await startTestCoordinator();
    try {
      const file = join(await temporaryFolder(), "a.txt");
      await writeFile(file, "abc\n".repeat(50));
      const about = ["--data", coordinator.folder, "--id", "abc", "--license", "CC0-1.0", "--attribution", "Nobody"];
      const { code, err } = await started("datasets", "import", "text", file, ...about);
      expect([code, err]).toEqual([
        1,
        `The data folder ${coordinator.folder} is in use by another Weft process (held by process ${process.pid}). Stop the coordinator (Ctrl-C), add the data set, and start it again.\n`,
      ]);
      const { json } = await coordinator.raw({ path: "/api/datasets" });
      expect(json.value.map(({ id }: { id: string }) => id)).toEqual(["austen", "digits"]);
      await coordinator.stop();
      expect(await started("datasets", "import", "text", file, ...about)).toMatchObject({ code: 0, err: "" });
      const again = await startTestCoordinator({ dataFolder: coordinator.folder });
      const { json: after } = await again.raw({ path: "/api/datasets" });
      await again.stop();
      expect(after.value.map(({ id }: { id: string }) => id)).toEqual(["abc", "austen", "digits"]);
    } finally {
      await coordinator.end();
    }
  });
});
