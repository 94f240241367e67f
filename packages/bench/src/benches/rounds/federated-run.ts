// What one cell of the bench trains: federated averaging of a model over the clients of a data set, until it is good enough. Plain data.
import type { CodecName, ModelSpec, PartitionSpec, RunSpec, RunSpecOf } from "@weft/protocol";

export interface FederatedRun {
  readonly dataset: "digits" | "mnist" | "little-play" | "tinyshakespeare-by-role";
  readonly model: ModelSpec;
  readonly seed: number;
  readonly clients: number;
  /** C of the paper, times the clients. */
  readonly perRound: number;
  /** E and B of the paper. */
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly partition: Extract<PartitionSpec, { kind: "iid" | "label-shards" | "role" }>;
  readonly codec: CodecName;
  /** Accuracy on all held-out images that ends it; null: it has all its rounds, and only the loss of its clients is looked at. */
  readonly target: number | null;
  /** How many rounds may be spent on the way. */
  readonly mostRounds: number;
}

/** The same as a run's specification, so that its rounds close by the very code that closes everybody's. */
export const specOf = (
  run: FederatedRun,
): RunSpecOf<"local-steps"> & { readonly sampler: Extract<RunSpec["sampler"], { kind: "clients" }> } => ({
  format: "weft-run/1",
  name: "rounds",
  description: "Federated averaging, for the bench of rounds",
  license: "Apache-2.0",
  seed: run.seed,
  dataset: run.dataset,
  sampler: { kind: "clients", clients: run.clients, perRound: run.perRound, epochs: run.epochs, partition: run.partition },
  model: run.model,
  training: {
    mode: "local-steps",
    versions: run.mostRounds,
    batch: run.batch,
    microBatch: run.batch,
    inner: {
      optimizer: { kind: "sgd", learningRate: run.learningRate, momentum: 0, weightDecay: 0 },
      schedule: { kind: "constant", warmupVersions: 0 },
      keepState: false,
    },
    rounds: { kind: "all", leases: run.perRound },
    rule: { kind: "mean" },
    optimizer: { kind: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 },
    codec: run.codec,
  },
  round: { leaseMs: 60_000, deadlineMs: 600_000, maxStaleness: 0 },
  evaluation: { everyVersions: 1, samples: 1_000_000 },
  checkpoints: { everyVersions: run.mostRounds },
});

export type ClientOrder =
  | { readonly kind: "begin"; readonly run: FederatedRun; readonly dataFolder: string | null }
  /** One client's visit; the answer is its contribution. */
  | { readonly kind: "visit"; readonly position: number; readonly weights: Float32Array }
  /** Held-out images from `from` to `to`, exclusive. */
  | { readonly kind: "evaluate"; readonly weights: Float32Array; readonly from: number; readonly to: number };

export type ClientAnswer =
  | { readonly kind: "ready"; readonly heldOut: number }
  | {
      readonly kind: "contribution";
      readonly position: number;
      readonly samples: number;
      readonly lossMean: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "score"; readonly correct: number; readonly of: number };
