// An earlier version of a run, as the run's own ledger has it, with everything that is needed to go on from it. Believes no memory but
// what is stored. Knows nothing of what is done with it.
import { type EventOf, ok, type Result, type RunId, refuse, type Sha256 } from "@weft/protocol";
import { type Storage, StorageFault } from "@weft/storage";
import { evolve, initialState, pointOf, type RunState, type VersionPoint } from "@weft/training";
import { messageOf } from "./run-loop.ts";

export interface FoundVersion {
  readonly created: EventOf<"run-created">;
  readonly point: VersionPoint;
  /** The record that made the version. */
  readonly seq: number;
  readonly head: Sha256;
}

/** Refuses `unknown-version`, `unknown-blob` where its weights or optimiser state are gone, `damaged` or `unavailable` where storage does not give them. */
export async function findVersion(
  { ledger, blobs }: Pick<Storage, "ledger" | "blobs">,
  run: RunId,
  version: number,
): Promise<Result<FoundVersion>> {
  try {
    const found = await inLedger(ledger, run, version);
    if (found === null) return refuse("unknown-version", `Run ${run} has no version ${version}.`);
    const { weights, optimizer } = found.point;
    const needed = [{ ref: weights, what: "weights" }, ...(optimizer === null ? [] : [{ ref: optimizer, what: "optimiser state" }])];
    for (const { ref, what } of needed)
      if ((await blobs.get(ref.sha256)) === null)
        return refuse("unknown-blob", `The ${what} of version ${version} of run ${run} (${ref.sha256}) are not stored any more.`);
    return ok(found);
  } catch (error) {
    const code = error instanceof StorageFault ? error.code : "damaged";
    return refuse(code, `Version ${version} of run ${run} cannot be used: ${messageOf(error)}`);
  }
}

async function inLedger(ledger: Storage["ledger"], run: RunId, version: number): Promise<FoundVersion | null> {
  let state: RunState | null = null;
  let created: EventOf<"run-created"> | null = null;
  for await (const { seq, atMs, event, hash } of ledger.read(run)) {
    if (event.type === "run-created") {
      created = event;
      state = initialState(event, atMs);
    } else if (state !== null) state = evolve(state, event, atMs);
    if (state === null || created === null) throw new StorageFault("damaged", `the ledger begins with ${event.type}`);
    if (state.version === version) return { created, point: pointOf(state), seq, head: hash };
  }
  return null;
}
