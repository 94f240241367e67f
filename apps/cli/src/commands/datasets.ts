// `weft datasets`: list, import, fetch. Works on the data folder itself; a running coordinator holds its folder's lock.
import {
  type About,
  EMBEDDED_IDS,
  type FractionSplit,
  fetchDataset,
  type ImportedDataset,
  importCsv,
  importIdx,
  importJsonl,
  importRoles,
  importText,
  RECIPES,
} from "@weft/datasets";
import { DatasetManifest, totalSamples } from "@weft/protocol";
import type { Command } from "commander";
import { listManifests, withCatalog } from "../datasets/open-catalog.ts";
import { fromAddresses, fromFolder, readLocal } from "../datasets/sources.ts";
import { columns, visible, visibleJson } from "./columns.ts";

interface AboutOptions {
  readonly data: string;
  readonly id: string;
  readonly license: string;
  readonly attribution: string;
  readonly name?: string;
  readonly description?: string;
  readonly source?: string;
  readonly citation?: string;
}
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const number = (text: string, option: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Error(`${option} must be a number, not "${visible(text)}".`);
  return value;
};

/** What each field of a manifest must be, in words: the schema knows only yes and no. */
const RULES = {
  id: "1 to 40 small letters, digits and hyphens, with no hyphen at either end, for example my-novels",
  name: "1 to 80 characters",
  description: "1 to 1000 characters",
  source: "1 to 500 characters",
  license: "an SPDX identifier such as CC-BY-4.0, or LicenseRef-PublicDomain for the public domain",
  attribution: "1 to 1000 characters",
  citation: "at most 2000 characters",
} as const;

/** Says which option is wrong before a file is read. */
function checkAbout(options: AboutOptions): void {
  for (const [field, rule] of Object.entries(RULES) as [keyof typeof RULES, string][]) {
    const value = options[field];
    if (value !== undefined && !DatasetManifest.shape[field].safeParse(value).success)
      throw new Error(`--${field} must be ${rule}, not "${visible(value.slice(0, 60))}".`);
  }
  if (EMBEDDED_IDS.some((id) => id === options.id))
    throw new Error(`--id ${options.id} is the name of a data set that comes with Weft. Import this one under another id.`);
}

const aboutOf = (options: AboutOptions, files: readonly string[]): About => ({
  id: options.id,
  name: options.name ?? options.id,
  description: options.description ?? `Imported from ${files.join(", ")}.`.slice(0, 1000),
  source: options.source ?? `Local files: ${files.join(", ")}`.slice(0, 500),
  license: options.license,
  attribution: options.attribution,
  citation: options.citation ?? "",
});

const kindOf = ({ form }: DatasetManifest): string =>
  form.kind === "text"
    ? `text, ${form.alphabet.length} symbols`
    : `images, ${form.height}x${form.width}x${form.channels}, ${form.classes} classes`;

const store = async (folder: string, dataset: ImportedDataset): Promise<void> => {
  const { manifest } = dataset;
  const outcome = await withCatalog(folder, (catalog) => catalog.add(dataset));
  const unit = manifest.form.kind === "text" ? "characters" : "images";
  say(
    `${manifest.id}: ${outcome}; ${kindOf(manifest)}; ${totalSamples(manifest.train)} ${unit} to train on, ${totalSamples(manifest.heldOut)} held out; ${manifest.license}.`,
  );
  if (manifest.roles !== undefined) say(`${manifest.roles.length} roles, each of which can be a client of a federated run.`);
  if (outcome === "added") say(`A run uses it with "dataset": "${manifest.id}" in its specification.`);
};

/** One of `heldOutImages` without its labels is a mistake that must not silently train on the test set. */
const heldOutOf = async (options: { readonly heldOut: string; readonly heldOutImages?: string; readonly heldOutLabels?: string }) => {
  const { heldOutImages: images, heldOutLabels: labels } = options;
  if (images !== undefined && labels !== undefined) return { images: await readLocal(images), labels: await readLocal(labels) };
  if (images !== undefined || labels !== undefined)
    throw new Error("--held-out-images and --held-out-labels go together; only one was given.");
  return fractionOf(options.heldOut);
};
const fractionOf = (text: string): FractionSplit => ({ fraction: number(text, "--held-out") });

const shapeOf = (text: string): { readonly height: number; readonly width: number; readonly channels: number } => {
  const match = /^(\d{1,4})x(\d{1,4})(?:x(\d{1,2}))?$/.exec(text);
  if (match === null) throw new Error(`--shape must be HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, for example 28x28, not "${visible(text)}".`);
  return { height: Number(match[1]), width: Number(match[2]), channels: Number(match[3] ?? 1) };
};

/** `download` fetches what `fetch` is asked for: the platform's unless told. */
export function registerDatasets(program: Command, download?: typeof globalThis.fetch): void {
  const datasets = program.command("datasets").description("list, import and fetch data sets");
  const withData = (command: Command): Command => command.option("--data <folder>", "the data folder", ".weft");

  withData(datasets.command("list").description("every data set that a run can name"))
    .option("--json", "the manifests, as JSON")
    .action(async ({ data, json }: { readonly data: string; readonly json?: boolean }) => {
      const manifests = await listManifests(data);
      if (json === true) return say(visibleJson(manifests));
      const rows = manifests.map((manifest) => [
        manifest.id,
        manifest.name,
        kindOf(manifest),
        String(totalSamples(manifest.train)),
        String(totalSamples(manifest.heldOut)),
        manifest.license,
      ]);
      say(columns([["id", "name", "kind", "train", "held out", "licence"], ...rows]));
    });

  withData(datasets.command("fetch <name>").description(`download a known data set: ${Object.keys(RECIPES).join(", ")}`))
    .option("--from <folder>", "use the files in this folder; their hashes are checked all the same")
    .action(async (name: string, { data, from }: { readonly data: string; readonly from?: string }) => {
      const source = from === undefined ? fromAddresses(download) : fromFolder(from);
      const dataset = await fetchDataset(name, source, (file, done, of) => say(`${done + 1} of ${of}: ${file}`));
      await store(data, dataset);
    });

  const imports = datasets.command("import").description("make a data set of your own files");
  const withAbout = (command: Command): Command =>
    withData(command)
      .requiredOption("--id <id>", "how runs name it: small letters, digits and hyphens")
      .requiredOption("--license <spdx>", "SPDX identifier, for example CC-BY-4.0; LicenseRef-PublicDomain for the public domain")
      .requiredOption("--attribution <text>", "whose data it is, as it must be credited")
      .option("--name <text>", "title shown to people; the id unless said")
      .option("--description <text>", "what the data is, in a sentence or two")
      .option("--source <text>", "where it comes from: an address or a catalogue entry")
      .option("--citation <text>", "how to cite it")
      .hook("preAction", (_, command) => checkAbout(command.opts<AboutOptions>()));

  withAbout(imports.command("idx").description("labelled images in IDX files, packed or not (the form of MNIST)"))
    .requiredOption("--images <file>", "training images")
    .requiredOption("--labels <file>", "their labels")
    .option("--held-out-images <file>", "images that are never trained on")
    .option("--held-out-labels <file>", "their labels")
    .option("--held-out <fraction>", "without held-out files: the part of the images that is held out", "0.1")
    .action(
      async (
        options: AboutOptions & { images: string; labels: string; heldOut: string; heldOutImages?: string; heldOutLabels?: string },
      ) => {
        const train = { images: await readLocal(options.images), labels: await readLocal(options.labels) };
        const about = aboutOf(options, [train.images.name, train.labels.name]);
        await store(options.data, await importIdx({ about, train, heldOut: await heldOutOf(options) }));
      },
    );

  withAbout(
    imports.command("csv <file>").description("labelled images, a row each: pixels from 0 to 255 and the label, separated by commas"),
  )
    .option("--label <place>", "the label's column: first or last", "last")
    .option("--header", "the first line names the columns")
    .option("--shape <shape>", "HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS; square and grey unless said")
    .option("--scale <value>", "the pixel value that becomes 1.0", "255")
    .option("--held-out <fraction>", "the part of the images that is held out", "0.1")
    .action(
      async (path: string, options: AboutOptions & { label: string; header?: boolean; shape?: string; scale: string; heldOut: string }) => {
        const { label } = options;
        if (label !== "first" && label !== "last") throw new Error(`--label must be first or last, not "${visible(label)}".`);
        const file = await readLocal(path);
        const shape = options.shape === undefined ? {} : { shape: shapeOf(options.shape) };
        const dataset = await importCsv({
          about: aboutOf(options, [file.name]),
          file,
          label,
          header: options.header === true,
          scale: number(options.scale, "--scale"),
          heldOut: fractionOf(options.heldOut),
          ...shape,
        });
        await store(options.data, dataset);
      },
    );

  for (const [kind, make, what, part, heldOut] of [
    ["text", importText, "plain UTF-8 text, read character by character; the end of each file is held out", "each file", "0.1"],
    [
      "jsonl",
      importJsonl,
      'JSON lines, a document each: {"text": "..."}; the last documents of each file are held out',
      "each file",
      "0.1",
    ],
    ["plays", importRoles, 'plays with a line "NAME:" before each speech, laid out by role', "each role's lines", "0.2"],
  ] as const)
    withAbout(imports.command(`${kind} <files...>`).description(what))
      .option("--held-out <fraction>", `the part of ${part} that is held out`, heldOut)
      .action(async (paths: string[], options: AboutOptions & { heldOut: string }) => {
        const files = await Promise.all(paths.map((path) => readLocal(path)));
        const about = aboutOf(
          options,
          files.map(({ name }) => name),
        );
        await store(options.data, await make({ about, files, heldOutFraction: number(options.heldOut, "--held-out") }));
      });
}
