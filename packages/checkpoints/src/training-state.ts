// training_state/ of a checkpoint: what a run needs beside the weights to go on from this version bit for bit. Knows no archive.
import { ok, type Result, refuse, StreamRange } from "@weft/protocol";
import * as z from "zod/mini";
import type { CheckpointFiles } from "./checkpoint-files.ts";
import type { Checkpoint } from "./read-checkpoint.ts";

const count = z.int().check(z.gte(0), z.lte(Number.MAX_SAFE_INTEGER));
const StateFile = z.object({
  format: z.literal("weft-training-state/1"),
  version: count,
  steps: count,
  position: count,
  pending: z.optional(z.array(StreamRange)),
});

/** The first five (one of them where it is not empty) say all; the others are what a reader would otherwise have to look up in train_config.json. */
export function stateFile({ version, spec, training }: CheckpointFiles): Record<string, unknown> {
  const { steps, position, pending = [] } = training;
  const left = pending.length > 0 ? { pending } : {};
  const { seed, sampler } = spec;
  const { training: trained } = spec;
  const { versions, optimizer } = trained;
  const known = { format: "weft-training-state/1", version, steps, position, ...left, seed, sampler };
  if (trained.mode === "gradient") {
    const { schedule, samplesPerVersion } = trained;
    return { ...known, samplesPerVersion, versions, schedule, optimizer };
  }
  const { batch, work, inner, rounds } = trained;
  return { ...known, batch, work, inner, rounds, versions, optimizer };
}

export interface TrainingState {
  readonly version: number;
  /** Rounds behind the weights, by which the schedule goes. */
  readonly steps: number;
  /** First position of the sample stream that is not counted in the weights. */
  readonly position: number;
  /** Positions below it that are not counted either; absent where there are none. */
  readonly pending?: readonly StreamRange[];
  /** The outer optimiser's state as the ledger's blob has it. */
  readonly optimizer: Uint8Array;
}

/** Refuses (`damaged`) a checkpoint without one, as those were that were written before there was any. */
export function checkpointTraining({ files }: Pick<Checkpoint, "files">): Result<TrainingState> {
  const optimizer = files.get("training_state/optimizer_state.safetensors");
  const bytes = files.get("training_state/state.json");
  if (optimizer === undefined || bytes === undefined)
    return refuse(
      "damaged",
      "the checkpoint holds no training_state, so nothing can go on from it; it was made by an earlier version of Weft",
    );
  const parsed = StateFile.safeParse(jsonOf(bytes));
  if (!parsed.success) return refuse("damaged", "the checkpoint's training_state/state.json is not one");
  const { version, steps, position, pending } = parsed.data;
  return ok({ version, steps, position, ...(pending === undefined ? {} : { pending }), optimizer });
}

/** Undefined for what is not JSON. */
export function jsonOf(bytes: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
