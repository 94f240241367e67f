// One process of the bench's simulations: runs the seeds it is sent, one after another, and answers with their sums. A seed that fails is
// answered with its smallest form.
import { describeFailure, type Outcome, type SimulationOptions, shrink, simulate } from "@weft/testkit/simulation";

export interface SeedsDone {
  readonly seeds: number;
  readonly messages: number;
  readonly crashes: number;
  readonly acknowledged: number;
  readonly versions: number;
  /** How to run each failing seed again, and what failed. */
  readonly failures: readonly string[];
}

const failureOf = async (outcome: Outcome): Promise<string> => describeFailure(await shrink(outcome), outcome);

async function run(seeds: readonly SimulationOptions[]): Promise<SeedsDone> {
  const done = { seeds: 0, messages: 0, crashes: 0, acknowledged: 0, versions: 0 };
  const failures: string[] = [];
  for (const options of seeds) {
    const outcome = await simulate(options);
    done.seeds += 1;
    done.messages += outcome.messages;
    done.crashes += outcome.crashes;
    done.acknowledged += outcome.acknowledged;
    done.versions += outcome.versions;
    if (outcome.violation !== null) failures.push(await failureOf(outcome));
  }
  return { ...done, failures };
}

process.on("message", (seeds: readonly SimulationOptions[]) => {
  void run(seeds).then((done) => process.send?.(done));
});
process.once("disconnect", () => process.exit());
