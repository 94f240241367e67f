// Writes one version as an archive that other tools load: names, shapes and configuration as the model's home has them.
// The same input gives the same bytes. Knows no storage.
import { canonicalBytes } from "@weft/ledger";
import { readsText } from "@weft/protocol";
import { writeSafetensors } from "@weft/tensors";
import { type Zippable, zipSync } from "fflate";
import { CHECKPOINT_FILES, type CheckpointFile, type CheckpointFiles, checkpointFolder } from "./checkpoint-files.ts";
import { attributionText, licenceText } from "./licences.ts";
import { modelCard } from "./model-card.ts";
import { modelConfig } from "./model-config.ts";
import { namedTensors } from "./named-tensors.ts";
import { tokenizerConfig, tokenizerText } from "./tokenizer-json.ts";
import { stateFile } from "./training-state.ts";

const UNIX = 3;
const REGULAR_FILE = 0o100644;
/** The earliest time a zip can hold, by local clock as zip has it: archives of the same version are the same bytes on any day, in any zone. */
const epoch = (): Date => new Date(1980, 0, 1);

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function trainConfig({ run, version, spec, manifest, weightsSha256, provenance }: CheckpointFiles): Record<string, unknown> {
  const { coordinator, made } = provenance;
  return {
    format: "weft-checkpoint/1",
    run,
    version,
    weights: weightsSha256,
    ledger: { seq: made.seq, head: made.hash, coordinator },
    dataset: {
      id: manifest.id,
      license: manifest.license,
      train: manifest.train.map(({ sha256 }) => sha256),
      heldOut: manifest.heldOut.map(({ sha256 }) => sha256),
    },
    spec,
  };
}

/** Contents by file name; a file that this version does not have is absent. */
function contents(input: CheckpointFiles): Partial<Record<CheckpointFile, string | Uint8Array>> {
  const { spec, manifest } = input;
  const { coordinator, previous, made } = input.provenance;
  if (readsText(spec.model) && manifest.form.kind !== "text") throw new TypeError(`a model of kind ${spec.model.kind} is trained on text`);
  const text =
    manifest.form.kind === "text"
      ? {
          "tokenizer.json": tokenizerText(manifest.form.alphabet),
          "tokenizer_config.json": json(tokenizerConfig(readsText(spec.model) ? spec.model.context : 1)),
        }
      : {};
  return {
    "README.md": modelCard(input),
    LICENSE: licenceText(spec),
    "ATTRIBUTION.md": attributionText(manifest),
    "config.json": json(modelConfig(spec, manifest)),
    ...text,
    "train_config.json": json(trainConfig(input)),
    "model.safetensors": writeSafetensors(namedTensors(spec.model, input.layout, input.weights)),
    "training_state/state.json": json(stateFile(input)),
    "training_state/optimizer_state.safetensors": input.training.optimizer,
    "provenance/run-created.json": json(input.provenance.created),
    "provenance/version.json": json({ coordinator, previous, record: made }),
    // As the ledger has it, so that its SHA-256 is the one that run-created names.
    "provenance/dataset.json": canonicalBytes(manifest),
  };
}

/** A zip archive, its entries stored, not compressed: weights do not compress, and a byte of the file is a byte of the archive. */
export function writeCheckpoint(input: CheckpointFiles): Uint8Array {
  const folder = checkpointFolder(input.run, input.version);
  const files = contents(input);
  const entries: Zippable = {};
  for (const name of CHECKPOINT_FILES) {
    const content = files[name];
    if (content === undefined) continue;
    // zipSync looks for this realm's Uint8Array; TextEncoder's may be another's in some test environments.
    entries[`${folder}/${name}`] = typeof content === "string" ? Uint8Array.from(new TextEncoder().encode(content)) : content;
  }
  return zipSync(entries, { level: 0, mtime: epoch(), os: UNIX, attrs: REGULAR_FILE * 65_536 });
}
