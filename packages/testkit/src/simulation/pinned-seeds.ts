// Seeds that have failed, each with what was wrong: they are simulated with every `npm test`, by name.
//
// To add one: mend what was wrong, keep the failing seed's whole command (not its smallest form, which may lose what hid the mistake), and add
// a line here with one sentence. A seed tells the same history only as long as the simulation draws the same: whoever changes the drawing
// takes the mending out once more, and looks for a seed that finds the mistake again.
import type { SimulationOptions } from "./plan.ts";

export interface PinnedSeed extends SimulationOptions {
  readonly sentence: string;
}

export const PINNED_SEEDS: readonly PinnedSeed[] = [
  {
    seed: 37,
    size: "small",
    sentence: "After a full disk a run went on from records that storage had refused and kept, before they were on the disk.",
  },
  {
    seed: 15,
    size: "small",
    sentence: "A welcome named leases of a version whose record was still on its way to the disk.",
  },
  {
    seed: 1_828,
    size: "small",
    sentence: "While a ledger was read again after a fault, whoever asked for a lease or a page met a run that was not there.",
  },
  {
    seed: 50_194,
    size: "small",
    sentence: "A run that was stopped while its round was closing let go the contributions of a version that its retention keeps.",
  },
  {
    seed: 72_272,
    size: "small",
    sentence: "A run was forked from a version whose record was still on its way to the disk.",
  },
  {
    seed: 7_003_990,
    size: "small",
    sentence: "The coordinator was being started again just when the end was looked at.",
  },
  {
    seed: 7_008_261,
    size: "small",
    sentence: "A hello was answered with a lease that was made while it waited, of a version that was not on disk.",
  },
];
