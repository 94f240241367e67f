// provenance/ of a checkpoint: the two signed records of the ledger that say what the weights are, and the data set's manifest. Checked
// against each other and against the files beside them; what no archive can prove is that a coordinator's key is whose it should be.
import { canonicalBytes, emptyHead, recordHash, SIGNING_DOMAINS, sha256, signedHead, verifySignature } from "@weft/ledger";
import { DatasetManifest, LedgerRecord, ok, type Result, refuse, Sha256, VolunteerId } from "@weft/protocol";
import { f32ToBytes, type ParameterLayout } from "@weft/tensors";
import * as z from "zod/mini";
import type { RecordOf } from "./checkpoint-files.ts";
import { type Checkpoint, checkpointSpec, checkpointWeights } from "./read-checkpoint.ts";
import { checkpointTraining, jsonOf } from "./training-state.ts";

const VersionFile = z.strictObject({ coordinator: VolunteerId, previous: Sha256, record: LedgerRecord });

export interface Provenance {
  readonly created: RecordOf<"run-created">;
  readonly made: RecordOf<"version-published">;
  /** The key that signed `made`. */
  readonly coordinator: VolunteerId;
  readonly manifest: DatasetManifest;
  /** Flat, in the layout's order. */
  readonly weights: Float32Array;
}

const damaged = (detail: string) => refuse("damaged", `the checkpoint does not hold together: ${detail}`);

/** True where the record is what it says and this key signed it. */
function isSigned(run: string, coordinator: string, previous: string, { seq, atMs, event, hash, signature }: LedgerRecord): boolean {
  if (signature === null || recordHash(previous, seq, atMs, event) !== hash) return false;
  return verifySignature(coordinator, SIGNING_DOMAINS.ledgerHead, signedHead(run, seq, hash), signature);
}

/**
 * Reads and checks everything that the archive says of its origin: hashes and signatures of both records; that they name these weights,
 * this optimiser state, this manifest and this specification. Refuses (`damaged`) with the first thing that does not fit. `layout` is that
 * of the specification's model.
 */
export function checkpointProvenance(checkpoint: Checkpoint, layout: ParameterLayout): Result<Provenance> {
  const { files } = checkpoint;
  const created = LedgerRecord.safeParse(jsonOf(files.get("provenance/run-created.json")));
  const version = VersionFile.safeParse(jsonOf(files.get("provenance/version.json")));
  const dataset = files.get("provenance/dataset.json");
  const manifest = DatasetManifest.safeParse(jsonOf(dataset));
  if (!created.success || !version.success || dataset === undefined || !manifest.success)
    return damaged("its provenance is missing or is not in the form of this version of Weft");
  const { event: first } = created.data;
  const { coordinator, previous, record } = version.data;
  const { event } = record;
  if (first.type !== "run-created" || event.type !== "version-published")
    return damaged("its records are not those that make a run and a version");
  const { run } = first;
  if (!isSigned(run, first.coordinator, emptyHead(run).hash, created.data))
    return damaged("run-created is not signed by its coordinator as it stands");
  if (!isSigned(run, coordinator, previous, record)) return damaged(`the record of version ${event.version} is not signed as it stands`);
  if (sha256(dataset) !== first.dataset.sha256) return damaged("the manifest is not that of the run's data set");
  const spec = checkpointSpec(checkpoint);
  if (!spec.ok) return spec;
  if (sha256(canonicalBytes(spec.value)) !== sha256(canonicalBytes(first.spec)))
    return damaged("train_config.json has another specification than the run");
  const weights = checkpointWeights(checkpoint, first.spec.model, layout);
  if (!weights.ok) return weights;
  if (sha256(f32ToBytes(weights.value)) !== event.weights.sha256) return damaged(`the weights are not those of version ${event.version}`);
  const training = checkpointTraining(checkpoint);
  if (!training.ok) return training;
  if (training.value.version !== event.version || sha256(training.value.optimizer) !== event.optimizer.sha256)
    return damaged(`training_state is not that of version ${event.version}`);
  return ok({
    created: { ...created.data, event: first },
    made: { ...record, event },
    coordinator,
    manifest: manifest.data,
    weights: weights.value,
  });
}
