// A run with scripted arrivals: volunteers come, work, let leases expire, give them back, vanish and return; the run is paused and resumed.
// Run as a program it prints one line of JSON: the head of the ledger, the published weights, and what recomputing them gave.
import { pathToFileURL } from "node:url";
import { replay, storageSource } from "@weft/audit";
import { TINY_SPEC } from "./fixtures.ts";
import { ScriptedVolunteer, unwrap } from "./scripted-volunteer.ts";
import { TestCoordinator } from "./test-coordinator.ts";
import { trainToTheEnd } from "./train.ts";

export interface ScriptedOutcome {
  readonly head: string;
  readonly records: number;
  readonly published: string;
  readonly recomputed: string | null;
  readonly same: boolean;
}

export async function scriptedRun(): Promise<ScriptedOutcome> {
  const kit = await TestCoordinator.start();
  const training = { ...TINY_SPEC.training, versions: 6, codec: "int8" as const };
  const run = await kit.createRun({ ...TINY_SPEC, name: "scripted", training });
  const [anna, ben, cleo] = [1, 2, 3].map((seed) => new ScriptedVolunteer(seed, `192.0.2.${seed}`)) as [
    ScriptedVolunteer,
    ScriptedVolunteer,
    ScriptedVolunteer,
  ];
  await anna.join(kit.coordinator, { name: "Anna" });
  await kit.pass(700);
  unwrap(await anna.contribute(await anna.lease(null, 4)));
  await ben.join(kit.coordinator);
  // Ben takes a lease and lets it expire; it is given again.
  await ben.lease(null, 1);
  await kit.pass(training.samplesPerVersion * 4_000);
  unwrap(await anna.contribute(await anna.lease(null, 8)));
  // Cleo gives one back, takes another and vanishes in the middle of it.
  await cleo.join(kit.coordinator, { name: "Cléo" });
  const returned = await cleo.lease(null, 2);
  const { lease, attempt } = returned;
  unwrap(await cleo.say("release", { run, lease, attempt }));
  await cleo.requestLease(null, 2);
  cleo.disconnect();
  await kit.pass(5_000);
  unwrap(await kit.coordinator.command({ type: "pause-run", run }, "admin"));
  await kit.pass(2_000);
  unwrap(await kit.coordinator.command({ type: "resume-run", run }, "admin"));
  await trainToTheEnd(kit, [anna, ben]);
  const records = await kit.records(run);
  let recomputed: string | null = null;
  const replayed = await replay(storageSource(kit.storage, run), {
    onVersion: (found) => {
      recomputed = found.outcome === "same" ? found.published : null;
    },
  });
  return {
    head: records.at(-1)?.hash ?? "",
    records: records.length,
    published: kit.coordinator.detail(run)?.weights.sha256 ?? "",
    recomputed,
    same: replayed.ok && replayed.same === training.versions + 1,
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.stdout.write(`${JSON.stringify(await scriptedRun())}\n`);
