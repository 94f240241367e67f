// From somebody's JSON to a run that exists: the specification, its fit to the data set, an id, version 0, the first record.
// Knows nothing of volunteers.
import { canonicalBytes } from "@weft/ledger";
import { parameterCount } from "@weft/models";
import {
  type BlobRef,
  type DatasetManifest,
  type EventOf,
  MAX_LEASE_SAMPLES,
  MAX_PARAMETERS,
  MAX_SPEC_BYTES,
  ok,
  parseRunSpec,
  type Result,
  type RunId,
  type RunOrigin,
  type RunSpec,
  readsText,
  refuse,
  totalSamples,
} from "@weft/protocol";
import { populationOf } from "@weft/training";
import type { CoordinatorOptions } from "./api.ts";

/** Longest run id; see RunId. */
const MAX_ID = 40;

/** `Digits, small` becomes `digits-small`; a name without any letter or digit of ASCII becomes `run`. Taken ids get a number. */
export function runIdOf(name: string, isTaken: (id: string) => boolean): RunId {
  const plain = name
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_ID)
    .replace(/^-+|-+$/g, "");
  const stem = plain === "" ? "run" : plain;
  if (!isTaken(stem)) return stem;
  for (let number = 2; ; number += 1) {
    const id = `${stem.slice(0, MAX_ID - 1 - String(number).length).replace(/-+$/, "")}-${number}`;
    if (!isTaken(id)) return id;
  }
}

/** Null where the data set can train and evaluate this model; else what does not fit, with the value that would. */
export function misfit(spec: RunSpec, manifest: DatasetManifest): string | null {
  const { model } = spec;
  const { form } = manifest;
  const wants = (field: string, value: number, found: number, what: string): string | null =>
    value === found ? null : `${field} is ${value}, but data set ${manifest.id} has ${found} ${what}; for example ${found}.`;
  if (readsText(model)) {
    if (form.kind !== "text") return `model.kind is "${model.kind}", but data set ${manifest.id} holds images; for example "mlp" or "cnn".`;
    if (populationOf(spec, manifest) < 1 || totalSamples(manifest.heldOut) < model.context + 1)
      return `model.context is ${model.context}, but data set ${manifest.id} has ${totalSamples(manifest.train)} training and ${totalSamples(
        manifest.heldOut,
      )} held-out symbols, and each part needs context + 1; for example a smaller context.`;
    return wants("model.vocabulary", model.vocabulary, form.alphabet.length, "symbols");
  }
  if (form.kind !== "images") return `model.kind is "${model.kind}", but data set ${manifest.id} holds text; for example "gpt" or "lstm".`;
  if (totalSamples(manifest.train) < 1 || totalSamples(manifest.heldOut) < 1)
    return `dataset ${manifest.id} needs training and held-out samples; it has ${totalSamples(manifest.train)} and ${totalSamples(manifest.heldOut)}.`;
  const classes = wants("model.classes", model.classes, form.classes, "classes");
  if (model.kind === "mlp")
    return wants("model.inputs", model.inputs, form.height * form.width * form.channels, "values in a sample") ?? classes;
  return (
    wants("model.height", model.height, form.height, "rows of pixels") ??
    wants("model.width", model.width, form.width, "columns of pixels") ??
    wants("model.inChannels", model.inChannels, form.channels, "channels") ??
    classes
  );
}

export interface PreparedRun {
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
  readonly dataset: BlobRef;
  readonly parameters: number;
  /** Samples of each client; only with the sampler `clients`. */
  readonly clients?: readonly number[];
  /** The first version where it comes from another run; absent: seeded weights. */
  readonly first?: { readonly weights: BlobRef; readonly origin: RunOrigin };
}

/** Everything that can be refused before anything is written. */
export async function prepareRun(spec: unknown, datasets: CoordinatorOptions["datasets"]): Promise<Result<PreparedRun>> {
  const size = jsonSize(spec);
  if (size === null) return refuse("bad-spec", "The specification must be a JSON object.");
  if (size > MAX_SPEC_BYTES) return refuse("too-large", `A specification has at most ${MAX_SPEC_BYTES} bytes; this one has ${size}.`);
  const parsed = parseRunSpec(spec);
  if (!parsed.ok) return parsed;
  const found = await datasets.manifest(parsed.value.dataset);
  if (found === null) return refuse("unknown-dataset", `dataset names "${parsed.value.dataset}", which is not here; for example "digits".`);
  const problem = misfit(parsed.value, found.manifest);
  if (problem !== null) return refuse("bad-spec", problem);
  const parameters = parameterCount(parsed.value.model);
  if (parameters > MAX_PARAMETERS)
    return refuse("bad-spec", `model has ${parameters} parameters; at most ${MAX_PARAMETERS} fit a volunteer's tab.`);
  const prepared = { spec: parsed.value, manifest: found.manifest, dataset: found.blob, parameters };
  if (parsed.value.sampler.kind !== "clients") return ok(prepared);
  const dealt = await dealtOut(parsed.value, found.manifest, datasets);
  return dealt.ok ? ok({ ...prepared, clients: dealt.value }) : dealt;
}

/** Samples of each client, as the run's first record names them. */
async function dealtOut(
  spec: RunSpec,
  manifest: DatasetManifest,
  datasets: CoordinatorOptions["datasets"],
): Promise<Result<readonly number[]>> {
  if (datasets.clients === undefined)
    return refuse("bad-spec", 'sampler.kind is "clients", but this coordinator cannot deal data sets out to clients; for example "epoch".');
  const dealt = await datasets.clients(manifest, spec);
  if (!dealt.ok || spec.sampler.kind !== "clients") return dealt;
  const { clients, epochs } = spec.sampler;
  if (dealt.value.length !== clients)
    return refuse("bad-spec", `sampler.clients is ${clients}, but data set ${manifest.id} has ${dealt.value.length}.`);
  const largest = Math.max(...dealt.value);
  if (largest * epochs > MAX_LEASE_SAMPLES)
    return refuse(
      "bad-spec",
      `sampler.epochs is ${epochs}, but a client has up to ${largest} samples and a lease at most ${MAX_LEASE_SAMPLES}; for example ${Math.max(1, Math.floor(MAX_LEASE_SAMPLES / largest))}.`,
    );
  return dealt;
}

/** As much of a coordinator as the making of a run needs. */
export type MadeWith = Pick<CoordinatorOptions, "key" | "code"> & {
  readonly storage: Pick<CoordinatorOptions["storage"], "blobs">;
  readonly compute: Pick<CoordinatorOptions["compute"], "initialWeights">;
};

/** Puts the blobs and gives the first event. Rejects where storage or the making of seeded weights fails. */
export async function firstEvent(
  run: RunId,
  { spec, manifest, parameters, clients, first }: PreparedRun,
  { storage, compute, key, code }: MadeWith,
): Promise<EventOf<"run-created">> {
  const weights = first?.weights ?? (await compute.initialWeights(spec.model, spec.seed));
  await storage.blobs.put(canonicalBytes(spec));
  const dataset = await storage.blobs.put(canonicalBytes(manifest));
  const origin = first?.origin ?? null;
  const created = { run, spec, dataset, weights, parameters, coordinator: key.publicKey, code: code.slice(0, 64), origin };
  return { type: "run-created", ...created, ...(clients === undefined ? {} : { clients: [...clients] }) };
}

function jsonSize(value: unknown): number | null {
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined ? null : text.length;
  } catch {
    return null;
  }
}
