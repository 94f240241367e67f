// `weft verify`, `weft replay`, `weft runs export`, `import` and `resume CHECKPOINT`: over a real coordinator, real files, and from one folder
// to another, with the words that a person reads.
import { appendFile, cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunDetail, RunSpecOf } from "@weft/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { digitsRun } from "../../../coordinator/src/demonstration.ts";
import { startTestCoordinator, type TestCoordinator, temporaryFolder } from "../../../coordinator/src/test/harness.ts";
import { ScriptedVolunteer } from "../../../coordinator/src/test/scripted-volunteer.ts";
import { contentOf, output, refusal, weft } from "../test/weft.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const VERSIONS = 6;
/** Six versions of 96 samples, a checkpoint in the middle. A lease is a whole version, whoever asks, so that runs can be compared bit by bit. */
const spec = (): RunSpecOf<"gradient"> => {
  const digits = digitsRun();
  return {
    ...digits,
    name: "proved",
    training: { ...digits.training, versions: VERSIONS, samplesPerVersion: 96, microBatch: 96, codec: "int8" },
    evaluation: { everyVersions: 3, samples: 64 },
    checkpoints: { everyVersions: 3 },
  };
};

const open: (() => Promise<unknown> | unknown)[] = [];
afterAll(async () => {
  for (const end of open.reverse()) await end();
});
const fresh = async (): Promise<string> => {
  const folder = await temporaryFolder();
  open.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
};
async function start(dataFolder: string): Promise<TestCoordinator> {
  const coordinator = await startTestCoordinator({ dataFolder });
  open.push(() => coordinator.stop());
  return coordinator;
}
const detailOf = ({ started }: TestCoordinator, run = "proved"): RunDetail => {
  const found = started.coordinator.detail(run);
  if (found === null) throw new Error(`no run ${run}`);
  return found;
};
async function train(coordinator: TestCoordinator, version: number, run = "proved", before = 0): Promise<void> {
  const volunteer = new ScriptedVolunteer(coordinator.origin);
  await volunteer.connect();
  await volunteer.work(() => detailOf(coordinator, run).version >= version);
  volunteer.vanish();
  const checkpoints = Math.floor(version / 3) - Math.floor(before / 3);
  await vi.waitUntil(() => detailOf(coordinator, run).checkpoints.length >= checkpoints, { timeout: 30_000 });
}

let first: TestCoordinator;
let home: string;
let archive: string;
/** The first folder as it was when its run stood at version 4. */
let halfway: string;
let halfArchive: string;
let published: string;
beforeAll(async () => {
  home = await fresh();
  const files = await fresh();
  archive = join(files, "proved.weft");
  halfArchive = join(files, "half.weft");
  first = await start(home);
  expect((await first.started.coordinator.createRun(spec(), "test")).ok).toBe(true);
  await train(first, 4);
  await output(["runs", "export", "proved", "--out", halfArchive, "--url", first.origin]);
  await first.stop();
  halfway = await fresh();
  await cp(home, halfway, { recursive: true });
  first = await start(home);
  await train(first, VERSIONS);
  published = detailOf(first).weights.sha256;
});

describe("weft verify and weft replay", () => {
  it("prove a run of a running coordinator over HTTP", async () => {
    const said = await output(["verify", "proved", "--url", first.origin]);
    expect(said.split("\n")[0]).toBe(`proved, version 6, ${first.origin}`);
    expect(said).toMatch(/✓ The ledger has \d+ records in one unbroken chain; its 7 heads are signed by [0-9a-f]{64}\.\n/);
    expect(said).toMatch(/✓ Version 6 has counted 576 samples: none twice in an epoch\.\n/);
    expect(said).toMatch(/✓ Versions 1 to 6 can be recomputed from version 0\.\nProved in \d+\.\d s\.\n$/);
    const again = await output(["replay", "proved", "--url", first.origin]);
    expect(again).toMatch(
      /^proved, http.*\n {2}✓ Version 0 is what the specification's seed gives\.\n {2}✓ Versions 1 to 6: computed again/,
    );
    expect(again).toMatch(/\n7 versions recomputed in \d+\.\d s, all the same\.\n$/);
  });

  it("prove an archive with no coordinator, as text and as JSON", async () => {
    const written = await output(["runs", "export", "proved", "--out", archive, "--url", first.origin]);
    const { size } = await stat(archive);
    expect(written).toMatch(
      new RegExp(`^.*proved\\.weft: \\d+ records, \\d+ contributions; ${size.toLocaleString("en-US")} bytes, digest [0-9a-f]{64}\\n$`),
    );
    await first.stop();
    expect(await output(["verify", archive])).toContain("Proved in");
    const found = JSON.parse(await output(["verify", archive, "--json"]));
    expect(found).toMatchObject({
      ok: true,
      runs: [{ run: "proved", newest: 6, findings: [], spans: [{ from: 1, to: 6, provable: "recompute" }] }],
    });
    const replayed = JSON.parse(await output(["replay", archive, "--from", "2", "--to", "v5", "--json"]));
    expect(replayed).toMatchObject({ ok: true, runs: [{ same: 3, versions: [{ version: 2, outcome: "taken" }, {}, {}, { version: 5 }] }] });
    const key = found.runs[0].figures.keys[0].key;
    await output(["verify", archive, "--key", key]);
    const other = await weft(["verify", archive, "--key", "ab".repeat(32)]);
    expect([other.code, other.err]).toEqual([1, "proved: 1 finding. Not proved.\n"]);
    expect(other.out).toContain("✗ record 0: The ledger names another coordinator key");
  });

  it("read a stopped coordinator's folder and leave it as it was, and refuse one that is held", async () => {
    const before = await contentOf(home);
    expect(await output(["verify", home])).toContain("Proved in");
    expect(await output(["replay", "proved", "--data", home])).toContain("all the same");
    expect(await contentOf(home)).toEqual(before);
    first = await start(home);
    expect(await refusal(["verify", home])).toMatch(/is in use by another Weft process .* Ask the coordinator that runs there/);
    await first.stop();
  });

  it("name what was changed in an archive, and end with code 1", async () => {
    const bytes = await readFile(archive);
    const spoiled = `${archive}.spoiled`;
    for (let share = 0.05; share < 1; share += 0.1) {
      const copy = Buffer.from(bytes);
      const at = Math.floor(share * copy.length);
      copy[at] = (copy[at] ?? 0) ^ 1;
      await writeFile(spoiled, copy);
      const { code, out, err } = await weft(["verify", spoiled]);
      expect(code).toBe(1);
      expect(`${out}${err}`).toMatch(
        /of version \d|to lease \d|record \d+|specification|manifest|[Ss]hard \d|table of contents|ledger\.ndjson/,
      );
    }
    await appendFile(spoiled, "x");
    expect(await refusal(["verify", spoiled])).toMatch(/it was lengthened\.$/);
  });

  it("name the first version that differs", async () => {
    // A data folder in which the bytes of a contribution were exchanged where nobody looks.
    const folder = await fresh();
    await cp(halfway, folder, { recursive: true });
    const segment = join(folder, "contributions", "proved", "00000000.seg");
    const bytes = await readFile(segment);
    const at = bytes.length - 200;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(segment, bytes);
    const { code, out, err } = await weft(["replay", folder]);
    expect([code, err.split("\n").at(-2)]).toEqual([1, "proved: version 4 differs. Not reproduced."]);
    expect(out).toMatch(/✗ Version 4 differs: .*\n {6}published {3}[0-9a-f]{64}/);
    expect((await weft(["verify", folder])).out).toMatch(/✗ record \d+, [0-9a-f]{12}: The contribution to lease 3\.0 /);
  });

  it.each([
    ["nothing", /^There is no run "nothing"\.$|No coordinator answers/],
    ["No/Such/File", /^"No\/Such\/File" is no file, no data folder and no run's id\.$/],
  ])("%s: refused in one line", async (name, sentence) => {
    expect(await refusal(["verify", name, "--url", "http://127.0.0.1:9"])).toMatch(sentence);
    expect(await refusal(["replay", name, "--url", "http://127.0.0.1:9"])).toMatch(sentence);
  });

  it("a file that is none, and a folder without the run, are named", async () => {
    const file = join(await fresh(), "other.txt");
    await writeFile(file, "hello");
    expect(await refusal(["verify", file])).toMatch(/other\.txt: This is no archive of a run: its first line is not that of one\.$/);
    expect(await refusal(["verify", home, "--run", "other"])).toMatch(/holds no run "other"\.$/);
    expect(await refusal(["replay", archive, "--from", "9"])).toBe("proved: nothing was replayed. Not reproduced.");
  });
});

describe("weft runs export", () => {
  it("never overwrites unless told, and leaves no half of a file", async () => {
    const folder = await fresh();
    const out = join(folder, "mine.weft");
    await writeFile(out, "mine");
    const args = ["runs", "export", "proved", "--data", home, "--out", out];
    expect(await refusal(args)).toBe(`${out} is there already. Name another with --out, or overwrite it with --force.`);
    await output([...args, "--force"]);
    expect((await readFile(out)).subarray(0, 14).toString()).toBe("weft-archive/1");
    expect(Object.keys((await contentOf(folder)) ?? {})).toEqual(["mine.weft"]);
  });

  it("says that the data is left out", async () => {
    const out = join(await fresh(), "thin.weft");
    expect(await output(["runs", "export", "proved", "--data", home, "--out", out, "--without-data"])).toContain(
      "; the data set is left out; ",
    );
    expect((await stat(out)).size).toBeLessThan((await stat(archive)).size);
    expect(await output(["verify", out])).toContain("the data set's shards are left out, only their hashes are here");
    // The digits come with Weft, but an empty folder does not have them yet.
    const empty = await fresh();
    expect(await refusal(["runs", "import", out, "--data", empty])).toMatch(/The archive leaves the data out, and the data set "digits"/);
  });
});

describe("weft runs import", () => {
  it("restores a run elsewhere, where training goes on to the same weights, and the whole is proved", async () => {
    const elsewhere = await fresh();
    const said = await output(["runs", "import", halfArchive, "--data", elsewhere]);
    expect(said).toMatch(
      /^proved is in .* now: version 4, \d+ records, \d+ contributions\.\nIts data set digits was added\.\nIt is running and goes on when/,
    );
    expect(await output(["verify", elsewhere])).toContain("Proved in");
    const second = await start(elsewhere);
    expect(detailOf(second)).toMatchObject({ phase: "running", version: 4 });
    await train(second, VERSIONS);
    expect(detailOf(second).weights.sha256).toBe(published);
    const proved = await output(["verify", "proved", "--url", second.origin]);
    expect(proved).toMatch(/heads are signed by [0-9a-f]{64}, from record \d+ on by [0-9a-f]{64}\./);
    expect(await output(["replay", "proved", "--url", second.origin])).toContain("7 versions recomputed");
    // What it writes from now on is a checkpoint that holds together under the new key.
    const file = join(await fresh(), "end.zip");
    await output(["checkpoints", "pull", "proved@6", "--out", file, "--url", second.origin]);
    expect(await refusal(["runs", "resume", file, "--data", elsewhere])).toMatch(/is the last version that its run asked for/);
    await second.stop();
    expect(await refusal(["runs", "import", halfArchive, "--data", elsewhere])).toMatch(/^There is a run "proved" in .* already\./);
  });

  it("imports nothing from an archive that is not proved, nor into a folder that is held", async () => {
    const bytes = await readFile(halfArchive);
    const at = bytes.length - 40;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const spoiled = `${halfArchive}.spoiled`;
    await writeFile(spoiled, bytes);
    const folder = await fresh();
    await mkdir(folder, { recursive: true });
    expect(await refusal(["runs", "import", spoiled, "--data", folder])).toMatch(/is not what it should be, and nothing was imported\./);
    expect(await contentOf(folder)).toEqual({});
    const held = await start(folder);
    expect(await refusal(["runs", "import", halfArchive, "--data", folder])).toMatch(
      /is in use by another Weft process .* Stop the coordinator/,
    );
    await held.stop();
  });

  it("what a crash left of an earlier import is cleared away", async () => {
    const folder = await fresh();
    await mkdir(join(folder, "importing", "ledger", "proved"), { recursive: true });
    await writeFile(join(folder, "importing", "ledger", "proved", "000000000000.ndjson"), "half of a ledger");
    await mkdir(join(folder, "contributions", "proved"), { recursive: true });
    await writeFile(join(folder, "contributions", "proved", "left.txt"), "half of an import");
    await output(["runs", "import", halfArchive, "--data", folder]);
    expect(await output(["verify", folder])).toContain("Proved in");
    expect(Object.keys((await contentOf(folder)) ?? {}).filter((path) => path.startsWith("importing"))).toEqual([]);
  });
});

describe("weft runs resume CHECKPOINT", () => {
  it("begins a run that ends with the very weights of its parent", async () => {
    first = await start(home);
    const file = join(await fresh(), "half.zip");
    await output(["checkpoints", "pull", "proved@3", "--out", file, "--url", first.origin]);
    const { coordinator } = detailOf(first).ledger;
    await first.stop();
    const elsewhere = await fresh();
    const said = await output(["runs", "resume", file, "--name", "Second half", "--data", elsewhere]);
    expect(said).toBe(
      `second-half goes on from version 3 of proved, with 3 versions to make. The checkpoint is signed by ${coordinator}.\nIt starts with a coordinator: weft serve --data ${elsewhere}\n`,
    );
    const second = await start(elsewhere);
    await train(second, VERSIONS, "second-half", 3);
    expect(detailOf(second, "second-half").weights.sha256).toBe(published);
    const proved = await output(["verify", "second-half", "--url", second.origin]);
    expect(proved).toContain("Positions before 288 were counted by the run that this one goes on from.");
    expect(await output(["replay", "second-half", "--url", second.origin])).toContain("Begins with the published weights of version 3.");
    await second.stop();
  });

  it("refuses a checkpoint that was changed, and a file that is none", async () => {
    const file = join(await fresh(), "none.zip");
    await writeFile(file, "not a zip");
    expect(await refusal(["runs", "resume", file, "--data", await fresh()])).toMatch(
      /none\.zip: the checkpoint cannot be read: it is no zip archive\.$/,
    );
    expect(await refusal(["runs", "resume", "nowhere.zip", "--data", await fresh()])).toMatch(/nowhere\.zip cannot be read/);
  });
});
