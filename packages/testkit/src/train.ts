// Drives scripted volunteers through leases until no run is running any more. Sequential on purpose: who says what when is the script's.
import type { ScriptedVolunteer } from "./scripted-volunteer.ts";
import type { TestCoordinator } from "./test-coordinator.ts";

/** Each volunteer in turn asks for a lease and answers it at once; time passes where nobody gets one. Throws when that leads nowhere. */
export async function trainToTheEnd(kit: TestCoordinator, volunteers: readonly ScriptedVolunteer[], maxTurns = 1_000): Promise<void> {
  for (let turn = 0; turn < maxTurns; turn += 1) {
    if (kit.coordinator.runs().every(({ phase }) => phase === "finished" || phase === "stopped")) return;
    let worked = false;
    for (const volunteer of volunteers) {
      const reply = await volunteer.requestLease();
      if (!reply.ok || reply.value.kind === "none") continue;
      worked = true;
      await volunteer.contribute(reply.value.assignment);
      await kit.coordinator.idle();
    }
    if (!worked) await kit.pass(500);
  }
  throw new Error(
    `no end after ${maxTurns} turns: ${kit.coordinator
      .runs()
      .map(({ run, version }) => `${run} at ${version}`)
      .join(", ")}`,
  );
}
