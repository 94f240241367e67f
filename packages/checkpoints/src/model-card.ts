// README.md of a checkpoint: a model card with YAML front matter, as the Hugging Face hub reads it
// (https://huggingface.co/docs/hub/model-cards), and text for people. Whatever strangers wrote is escaped.
import { type RunOrigin, type RunSpec, readsText, totalSamples } from "@weft/protocol";
import type { CheckpointFiles } from "./checkpoint-files.ts";
import { licenceLine } from "./licences.ts";
import { loadingCode } from "./loading.ts";
import { fenced, plain, table, yamlText } from "./markdown.ts";

/** SPDX identifiers, in lower case, that the hub knows by that name; others are "other" with a name of their own. */
const HUB_LICENSES = new Set(
  (
    "apache-2.0 mit afl-3.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 " +
    "cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 " +
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl epl-1.0 epl-2.0 eupl-1.1 isc ms-pl " +
    "mpl-2.0 ncsa odbl ofl-1.1 osl-3.0 postgresql unlicense zlib"
  ).split(" "),
);
const KIND = { mlp: "A network of dense layers", cnn: "A convolutional network", gpt: "A GPT-2", lstm: "An LSTM" } as const;
const MAX_EVALUATIONS_SHOWN = 12;
const MAX_CONTRIBUTORS_SHOWN = 200;

const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

function frontMatter({ run, spec, manifest }: CheckpointFiles): string {
  const listed = spec.license.toLowerCase();
  const license = HUB_LICENSES.has(listed)
    ? [`license: ${listed}`]
    : ["license: other", `license_name: ${yamlText(spec.license)}`, "license_link: LICENSE"];
  const text = readsText(spec.model);
  const lines = [
    ...license,
    `library_name: ${spec.model.kind === "gpt" ? "transformers" : "pytorch"}`,
    `pipeline_tag: ${text ? "text-generation" : "image-classification"}`,
    "tags:",
    "- weft",
    "- volunteer-computing",
    `- ${spec.model.kind}`,
    "datasets:",
    `- ${yamlText(manifest.id)}`,
    "metrics:",
    `- ${text ? "perplexity" : "accuracy"}`,
    `model_name: ${yamlText(run)}`,
  ];
  return `---\n${lines.join("\n")}\n---`;
}

/** Every evaluation where they are few, else evenly thinned, the newest always among them. */
function thinned<T>(all: readonly T[], most: number): T[] {
  if (all.length <= most) return [...all];
  return Array.from({ length: most }, (_, index) => all[Math.round((index * (all.length - 1)) / (most - 1))] as T);
}

function evaluations({ metrics, spec }: CheckpointFiles): string {
  if (metrics.length === 0) return "This version was not evaluated.";
  const rows = thinned(metrics, MAX_EVALUATIONS_SHOWN).map(({ version, lossMean, accuracy }) => [
    String(version),
    lossMean.toFixed(4),
    ...(readsText(spec.model) ? [Math.exp(lossMean).toFixed(3)] : []),
    accuracy === null ? "" : `${(100 * accuracy).toFixed(2)} %`,
  ]);
  const head = ["version", "loss", ...(readsText(spec.model) ? ["perplexity"] : []), "right"];
  return `Measured by the coordinator on held-out data.\n\n${table(head, rows)}`;
}

function contributors(input: CheckpointFiles): string {
  if (input.contributors.length === 0) return "Nobody has contributed to this version yet: it is the seeded initial model.";
  const rows = input.contributors.slice(0, MAX_CONTRIBUTORS_SHOWN).map(({ name, samples }) => [plain(name), grouped(samples)]);
  const rest = input.contributors.length - rows.length;
  const more = rest > 0 ? `\n\nand ${grouped(rest)} more; the run's ledger names them all.` : "";
  return `${table(["volunteer", "samples computed"], rows)}${more}`;
}

const originOf = ({ origin }: { readonly origin?: RunOrigin | null | undefined }): string =>
  origin === undefined || origin === null ? "" : `, the version ${grouped(origin.version)} of run \`${origin.run}\` from which it went on`;

/** What a step of the run is. */
const stepOf = ({ training }: RunSpec): string =>
  training.mode === "gradient"
    ? `averages the gradients of ${grouped(training.samplesPerVersion)} samples`
    : "averages what volunteers changed by several steps of their own";

export function modelCard(input: CheckpointFiles): string {
  const { run, version, spec, manifest, training } = input;
  const { created, coordinator, made } = input.provenance;
  return `${[
    frontMatter(input),
    `# ${plain(spec.name)}, version ${version}`,
    plain(spec.description),
    `${KIND[spec.model.kind]} of ${grouped(input.layout.size)} parameters, trained from nothing with Weft: volunteers lent the GPUs behind their browser tabs. This is step ${grouped(training.steps)} of ${grouped(spec.training.versions)}; each ${stepOf(spec)}. The run is called \`${run}\`.`,
    "## Load it",
    "In the unpacked folder:",
    fenced(loadingCode(spec, manifest), "python"),
    "## How good it is",
    evaluations(input),
    "## Data",
    `Trained on ${plain(manifest.name)}, ${grouped(totalSamples(manifest.train))} ${manifest.form.kind === "text" ? "tokens" : "samples"}.`,
    [
      `- What it is: ${plain(manifest.description)}`,
      `- Licence: ${licenceLine(manifest.license)}`,
      `- Credit: ${plain(manifest.attribution)}`,
      "- Citation, source and changes: ATTRIBUTION.md",
    ].join("\n"),
    "## Who trained it",
    contributors(input),
    "## Licence of the weights",
    licenceLine(spec.license),
    "## Where it comes from",
    `Every contribution stands in the run's signed ledger, from which anyone can recompute these weights. They are the blob \`${input.weightsSha256}\` (SHA-256), named by the ledger of coordinator \`${coordinator}\`, whose record ${made.seq} has the hash \`${made.hash}\`. That record, signed, with every contribution to this version, is in provenance/version.json; provenance/run-created.json, signed too, has the specification, the revision of the code${originOf(created.event)} and the hash of provenance/dataset.json, which names the data's shards.`,
    "## Go on from it, or check it",
    `training_state/ holds what training goes on with beside the weights: the outer optimiser's state, ${grouped(training.steps)} steps done, sample position ${grouped(training.position)}. With them a run goes on from this version bit for bit: \`weft runs --help\` and \`weft checkpoints --help\` say how. \`weft verify\` and \`weft replay\` check the run that made it, from its ledger, down to every weight.`,
  ].join("\n\n")}\n`;
}
