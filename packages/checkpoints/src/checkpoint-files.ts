// What a checkpoint is made of: the facts that go in, and the only file names that come out. Knows no coordinator and no storage.
import type { DatasetManifest, EventOf, LedgerRecord, RunSpec, Sha256, StreamRange, VolunteerId } from "@weft/protocol";
import type { ParameterLayout } from "@weft/tensors";

/** A ledger's record whose event is of a known type. */
export type RecordOf<T extends LedgerRecord["event"]["type"]> = Omit<LedgerRecord, "event"> & { readonly event: EventOf<T> };

/** One version of a run, with everything that its files tell. */
export interface CheckpointFiles {
  readonly run: string;
  readonly version: number;
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
  /** Flat, in the layout's order. */
  readonly weights: Float32Array;
  /** SHA-256 of the weights' blob, as the ledger has it. */
  readonly weightsSha256: Sha256;
  readonly layout: ParameterLayout;
  /** Evaluations on held-out data, oldest first. */
  readonly metrics: readonly { readonly version: number; readonly lossMean: number; readonly accuracy: number | null }[];
  readonly contributors: readonly { readonly name: string; readonly samples: number }[];
  /**
   * What training goes on with: the rounds behind the weights, the first sample position not given out when they were made, those below it
   * that are not counted in them, the outer optimiser's state.
   */
  readonly training: {
    readonly steps: number;
    readonly position: number;
    readonly pending?: readonly StreamRange[];
    readonly optimizer: Uint8Array;
  };
  /** The ledger's first record, the one that made this version, and the hash before that one: what a stranger needs to check both. */
  readonly provenance: {
    readonly created: RecordOf<"run-created">;
    readonly previous: Sha256;
    /** The key that signed it: the one that run-created names, or that of a coordinator that adopted the run since. */
    readonly coordinator: VolunteerId;
    readonly made: RecordOf<"version-published">;
  };
}

/** Every file a checkpoint may hold, in the order of the archive, by its path in the folder; tokeniser files only where the data is text. */
export const CHECKPOINT_FILES = [
  "README.md",
  "LICENSE",
  "ATTRIBUTION.md",
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "train_config.json",
  "model.safetensors",
  "training_state/state.json",
  "training_state/optimizer_state.safetensors",
  "provenance/run-created.json",
  "provenance/version.json",
  "provenance/dataset.json",
] as const;
export type CheckpointFile = (typeof CHECKPOINT_FILES)[number];

export const isCheckpointFile = (name: string): name is CheckpointFile => (CHECKPOINT_FILES as readonly string[]).includes(name);

/** The folder inside the archive, and the archive's name without `.zip`: `digits-v000120`. */
export const checkpointFolder = (run: string, version: number): string => `${run}-v${String(version).padStart(6, "0")}`;
