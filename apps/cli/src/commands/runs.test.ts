// `weft runs` and `weft checkpoints` against a real coordinator on a free loopback port: what they print, what they refuse, what they leave.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readCheckpoint } from "@weft/checkpoints";
import type { RunDetail, RunSpec, RunSpecOf } from "@weft/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { digitsRun } from "../../../coordinator/src/demonstration.ts";
import { startTestCoordinator, type TestCoordinator } from "../../../coordinator/src/test/harness.ts";
import { ScriptedVolunteer } from "../../../coordinator/src/test/scripted-volunteer.ts";
import { output, refusal, temporaryFolder } from "../test/weft.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Two versions of 64 samples, a checkpoint each. */
const tiny = (name: string): RunSpecOf<"gradient"> => {
  const spec = digitsRun();
  return {
    ...spec,
    name,
    training: { ...spec.training, versions: 2, samplesPerVersion: 64, schedule: { kind: "constant", warmupVersions: 0 } },
    evaluation: { everyVersions: 1, samples: 64 },
    checkpoints: { everyVersions: 1 },
  };
};

let coordinator: TestCoordinator;
let files: string;
beforeAll(async () => {
  coordinator = await startTestCoordinator();
});
afterAll(async () => {
  await coordinator.end();
});
beforeEach(async () => {
  files = await temporaryFolder();
});

const at = (): string[] => ["--url", coordinator.origin];
const signedIn = (): string[] => [...at(), "--data", coordinator.folder];
const runs = (...args: string[]): Promise<string> => output(["runs", ...args]);
async function specFile(spec: unknown): Promise<string> {
  const path = join(files, "spec.json");
  await writeFile(path, typeof spec === "string" ? spec : JSON.stringify(spec));
  return path;
}
const rows = (text: string): string[][] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));

describe("weft runs", () => {
  it("creates, lists, shows, pauses, resumes and stops a run", async () => {
    expect(await runs("create", await specFile(tiny("steer")), ...signedIn())).toBe(`steer is running: ${coordinator.origin}/runs/steer\n`);
    const shown = await runs("show", "steer", ...at());
    expect(shown.split("\n")[0]).toBe("steer: Reads a handwritten digit from a picture of 8 by 8 points.");
    const facts = Object.fromEntries(rows(shown).slice(1) as [string, string][]);
    expect(facts).toMatchObject({
      state: "running, v0 of 2",
      model: "mlp, 2410 parameters, to be published under Apache-2.0",
      volunteers: "0 now, 0 ever",
      refused: "nothing",
      checkpoint: "none yet",
    });
    expect(facts.data).toMatch(/^Handwritten digits, 8x8, CC-BY-4\.0; .*Alpaydin/);
    expect(facts.why).toBe(coordinator.started.coordinator.detail("steer")?.round.reason);
    const detail: RunDetail = JSON.parse(await runs("show", "steer", "--json", ...at()));
    expect([detail.run, detail.spec]).toEqual(["steer", tiny("steer")]);

    const phase = async (): Promise<string | undefined> => rows(await runs("list", ...at())).find(([run]) => run === "steer")?.[1];
    expect(await phase()).toBe("running");
    expect(await runs("pause", "steer", ...signedIn())).toBe("steer is paused.\n");
    expect(await phase()).toBe("paused");
    expect(await runs("resume", "steer", ...signedIn())).toBe("steer is running.\n");
    expect(await phase()).toBe("running");
    expect(await runs("stop", "steer", ...signedIn())).toBe("steer is stopped.\n");
    expect(await phase()).toBe("stopped");
    expect(await refusal(["runs", "resume", "steer", ...signedIn()])).toMatch(/steer|stopped/);
  });

  it("lists a head line and a line each", async () => {
    await runs("create", await specFile(tiny("listed")), ...signedIn());
    const [head, ...lines] = rows(await runs("list", ...at()));
    expect(head).toEqual(["run", "state", "version", "held-out", "model", "data", "volunteers"]);
    expect(lines.some(([run, state, version]) => run === "listed" && state === "running" && version === "v0 of 2")).toBe(true);
  });

  it.each<readonly [string, (spec: RunSpec) => unknown, RegExp]>([
    [
      "a field out of range",
      (spec) => ({ ...spec, training: { ...spec.training, versions: 0 } }),
      /^training\.versions must be at least 1; for example 240\.$/,
    ],
    [
      "two mistakes at once",
      (spec) => ({ ...spec, seed: "x", round: { ...spec.round, leaseMs: -1 } }),
      /^seed must be a number; for example 7\. round\.leaseMs must be at least \d+; for example 3000\.$/,
    ],
    [
      "a field that is none",
      (spec) => ({ ...spec, speed: 3 }),
      /^speed is not a field of a run specification; for example leave it out\.$/,
    ],
    [
      "a rule across fields",
      (spec) => ({ ...spec, sampler: { kind: "random-window" } }),
      /^sampler\.kind must be "epoch" for images \(mlp\); for example "epoch"\.$/,
    ],
    ["a data set that is not there", (spec) => ({ ...spec, dataset: "mnist" }), /mnist/],
    [
      "a model that does not fit the data",
      (spec) => ({ ...spec, model: { kind: "mlp", inputs: 63, hidden: [8], classes: 10 } }),
      /model\.inputs.*64/,
    ],
    ["a specification that is a list", () => [], /^\(the whole\) must be an object; for example /],
  ])("names %s in a specification, and starts nothing", async (_what, change, message) => {
    const before = coordinator.started.coordinator.runs().length;
    expect(await refusal(["runs", "create", await specFile(change(tiny("wrong"))), ...signedIn()])).toMatch(message);
    expect(coordinator.started.coordinator.runs().length).toBe(before);
  });

  it("names a file that is missing or no JSON", async () => {
    expect(await refusal(["runs", "create", join(files, "none.json"), ...signedIn()])).toMatch(/none\.json cannot be read \(ENOENT/);
    expect(await refusal(["runs", "create", await specFile('{\n"name": digits\n}'), ...signedIn()])).toMatch(
      /spec\.json is no JSON \(Unexpected token/,
    );
    expect(await runs("create", await specFile(`\ufeff${JSON.stringify(tiny("marked"))}`), ...signedIn())).toMatch(/^marked is running/);
  });

  it.each([["pause"], ["resume"], ["stop"], ["show"]])("%s: names a run that is not there", async (verb) => {
    expect(await refusal(["runs", verb, "nothing", ...(verb === "show" ? at() : signedIn())])).toMatch(/^there is no run "?nothing"?\.$/i);
  });
  it("treats a run's name as a name, whatever it says", async () => {
    for (const name of ["../health", "a/../../health", "%2e%2e", "x?y=1#z", "\u001b[31m"])
      expect([name, await refusal(["runs", "show", name, ...at()])]).toEqual([
        name,
        expect.stringMatching(/^There is no run "\P{Cc}*"\.$|^There is nothing at/u),
      ]);
  });

  it("names a key that is missing, damaged, or another coordinator's, and commands nothing", async () => {
    const before = coordinator.started.coordinator.runs();
    const command = ["runs", "stop", "listed", ...at(), "--data", files];
    expect(await refusal(command)).toBe(
      `${join(files, "admin.key")} cannot be read. Run this on the coordinator's machine and name its data folder with --data.`,
    );
    await mkdir(join(files, "admin.key"));
    expect(await refusal(command)).toMatch(/admin\.key cannot be read\./);
    await rm(join(files, "admin.key"), { recursive: true });
    for (const damaged of ["", "short", `${"0".repeat(64)}\nx`, "ключ".repeat(16)]) {
      await writeFile(join(files, "admin.key"), damaged);
      expect(await refusal(command)).toMatch(/admin\.key does not hold 64 hexadecimal digits; it is no coordinator's key\.$/);
    }
    await writeFile(join(files, "admin.key"), `${"0".repeat(64)}\n`);
    expect(await refusal(command)).toBe(
      `Only a signed-in admin may do this. The key in ${join(files, "admin.key")} is not that of the coordinator at ${coordinator.origin}.`,
    );
    expect(coordinator.started.coordinator.runs().map(({ phase }) => phase)).toEqual(before.map(({ phase }) => phase));
  });
});

describe("weft checkpoints", () => {
  let volunteer: ScriptedVolunteer;
  const detail = (): RunDetail | null => coordinator.started.coordinator.detail("trained");
  beforeAll(async () => {
    for (const { run, phase } of coordinator.started.coordinator.runs())
      if (phase === "running") await output(["runs", "stop", run, ...signedIn()]);
    files = await temporaryFolder();
    await runs("create", await specFile(tiny("trained")), ...signedIn());
    volunteer = new ScriptedVolunteer(coordinator.origin);
    await volunteer.connect();
    await volunteer.work(() => detail()?.phase === "finished");
    await vi.waitUntil(() => detail()?.checkpoints.length === 2 && detail()?.evaluations.at(-1)?.version === 2, { timeout: 30_000 });
  });
  afterAll(() => volunteer.vanish());

  const pull = (...args: string[]): string[] => ["checkpoints", "pull", ...args, ...at()];
  const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

  it("are listed newest first, and shown with the run", async () => {
    const [head, ...lines] = rows(await output(["checkpoints", "list", "trained", ...at()]));
    expect(head).toEqual(["version", "made", "held-out loss", "right", "bytes", "SHA-256 of the weights"]);
    expect(lines.map(([version, , loss, right, bytes, weights]) => [version, loss, right, bytes, weights])).toEqual(
      (detail()?.checkpoints ?? [])
        .toSorted((one, other) => other.version - one.version)
        .map(({ version, heldOutLoss, accuracy, archive, weights }) => [
          `v${version}`,
          heldOutLoss?.toFixed(3),
          `${(100 * (accuracy ?? 0)).toFixed(1)} %`,
          String(archive.sizeBytes),
          weights.sha256,
        ]),
    );
    expect(lines.map(([version]) => version)).toEqual(["v2", "v1"]);
    expect(await runs("show", "trained", ...at())).toMatch(/^checkpoint {2}v2, \d+ bytes$/m);
    expect(rows(await output(["checkpoints", "list", "steer", ...at()]))).toHaveLength(1);
  });

  it.each([
    ["trained", 2],
    ["trained@latest", 2],
    ["trained@1", 1],
    ["trained@v1", 1],
  ])("%s is pulled whole, and opens", async (name, version) => {
    const out = join(files, "pulled.zip");
    const said = await output(pull(name, "--out", out));
    const bytes = await readFile(out);
    expect(said).toBe(`${out}: v${version}, ${bytes.length} bytes, SHA-256 ${sha256(bytes)}\n`);
    expect(sha256(bytes)).toBe(detail()?.checkpoints.find((checkpoint) => checkpoint.version === version)?.archive.sha256);
    expect(readCheckpoint(new Uint8Array(bytes)).ok).toBe(true);
    expect((await readdir(files)).filter((file) => file !== "spec.json")).toEqual(["pulled.zip"]);
  });

  it("never overwrite a file without being told", async () => {
    const out = join(files, "mine.zip");
    await writeFile(out, "mine");
    expect(await refusal(pull("trained", "--out", out))).toBe(
      `${out} is there already. Name another with --out, or overwrite it with --force.`,
    );
    expect(await readFile(out, "utf8")).toBe("mine");
    await output(pull("trained", "--out", out, "--force"));
    expect((await readFile(out)).subarray(0, 2).toString()).toBe("PK");
    expect(await readdir(files)).toEqual(["mine.zip"]);
  });

  it.each([
    ["nothing", /^There is no run "nothing"\.$/],
    ["steer", /^Run "steer" has no checkpoint yet\.$/],
    ["trained@7", /^Run "trained" has no checkpoint v7; it has v2, v1\.$/],
    ["trained@", /^"trained@" is no checkpoint\. Write RUN, RUN@VERSION or RUN@latest, for example digits@60\.$/],
    ["trained@new", /^"trained@new" is no checkpoint\./],
    ["@2", /^"@2" is no checkpoint\./],
  ])("%s: named, and nothing written", async (name, message) => {
    expect(await refusal(pull(name, "--out", join(files, "x.zip")))).toMatch(message);
    expect(await readdir(files)).toEqual([]);
  });

  it("name a place where no file can be written", async () => {
    expect(await refusal(pull("trained", "--out", join(files, "none", "x.zip")))).toMatch(/none\/x\.zip cannot be written \(ENOENT/);
    expect(await refusal(pull("trained", "--force", "--out", files))).toMatch(/cannot be written \(E/);
    expect(await readdir(files)).toEqual([]);
  });
});
