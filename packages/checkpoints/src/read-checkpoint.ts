// Reads a checkpoint archive from anywhere, trusting nothing in it: only the names a checkpoint has, in one folder, within limits.
import { MAX_PARAMETERS, ok, type Result, RunSpec, refuse } from "@weft/protocol";
import { type ParameterLayout, readSafetensors, type Tensor } from "@weft/tensors";
import { type CheckpointFile, isCheckpointFile } from "./checkpoint-files.ts";
import { flatWeights } from "./named-tensors.ts";
import { jsonOf } from "./training-state.ts";
import { unzip } from "./unzip.ts";

/** Weights and the header that names them. */
const MAX_WEIGHTS_BYTES = 4 * MAX_PARAMETERS + 4 * 1024 * 1024;
/** Two vectors as long as the weights, and the header that names them. */
const MAX_OPTIMIZER_BYTES = 12 * MAX_PARAMETERS + 4 * 1024 * 1024;
/** Text: the largest is a tokeniser of 65,536 symbols, under 2 MB. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** A version's record names each of its contributions in under 350 bytes; a version of a million single samples has as many. */
const MAX_RECORD_BYTES = 400 * 1024 * 1024;
const MAX_BYTES: Partial<Record<CheckpointFile, number>> = {
  "model.safetensors": MAX_WEIGHTS_BYTES,
  "training_state/optimizer_state.safetensors": MAX_OPTIMIZER_BYTES,
  "provenance/version.json": MAX_RECORD_BYTES,
};
const FOLDER = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?-v\d{6,9}$/;

export interface Checkpoint {
  /** For example `digits-v000120`. */
  readonly folder: string;
  readonly files: ReadonlyMap<CheckpointFile, Uint8Array>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly config: unknown;
  readonly trainConfig: unknown;
}

const damaged = (detail: string) => refuse("damaged", `the checkpoint cannot be read: ${detail}`);

/** Refuses (`damaged`) with what is wrong. Every value is finite or not as the file has it; shapes are checked by `checkpointWeights`. */
export function readCheckpoint(archive: Uint8Array): Result<Checkpoint> {
  let folder: string | null = null;
  const unzipped = unzip(archive, (path) => {
    const slash = path.indexOf("/");
    const [first, name] = [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
    if (!FOLDER.test(first) || !isCheckpointFile(name)) return null;
    folder ??= first;
    if (first !== folder) return null;
    return MAX_BYTES[name] ?? MAX_TEXT_BYTES;
  });
  if (!unzipped.ok) return damaged(unzipped.detail);
  if (folder === null) return damaged("it is empty");
  const files = new Map<CheckpointFile, Uint8Array>();
  for (const [path, bytes] of unzipped.files) files.set(path.slice(path.indexOf("/") + 1) as CheckpointFile, bytes);
  const weights = files.get("model.safetensors");
  if (weights === undefined) return damaged("model.safetensors is missing");
  const tensors = readSafetensors(weights);
  if (!tensors.ok) return damaged(`model.safetensors: ${tensors.detail}`);
  const config = jsonOf(files.get("config.json"));
  const trainConfig = jsonOf(files.get("train_config.json"));
  if (config === undefined || trainConfig === undefined) return damaged("config.json or train_config.json is missing or not JSON");
  return ok({ folder, files, tensors: tensors.tensors, config, trainConfig });
}

/** The run specification that train_config.json holds, checked by its schema. */
export function checkpointSpec({ trainConfig }: Checkpoint): Result<RunSpec> {
  const spec = typeof trainConfig === "object" && trainConfig !== null && "spec" in trainConfig ? trainConfig.spec : undefined;
  const parsed = RunSpec.safeParse(spec);
  return parsed.success ? ok(parsed.data) : damaged("train_config.json holds no run specification");
}

/** Flat weights in the layout's order; refuses (`damaged`) tensors that are not exactly the model's. */
export function checkpointWeights(checkpoint: Checkpoint, model: RunSpec["model"], layout: ParameterLayout): Result<Float32Array> {
  const flat = flatWeights(model, layout, checkpoint.tensors);
  return flat.ok ? ok(flat.weights) : damaged(flat.detail);
}
