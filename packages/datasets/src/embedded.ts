// The two data sets that come with Weft: files in ../embedded, given by an injected reader and checked against their manifests.
import { DatasetManifest } from "@weft/protocol";
import { gunzip, type NamedBytes, sha256 } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { importCsv } from "./import-images.ts";
import { importText } from "./import-text.ts";
import type { ImportedDataset } from "./shards.ts";

/** Path inside the folder `embedded` of this package, for example `austen/emma.txt.gz`. */
export type ReadEmbedded = (path: string) => Promise<Uint8Array>;

export const EMBEDDED_IDS = ["austen", "digits"] as const;
export type EmbeddedId = (typeof EMBEDDED_IDS)[number];

/** In the order in which the novels were published. */
const NOVELS = ["sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey", "persuasion"];

const unpack = async (readFile: ReadEmbedded, folder: string, name: string): Promise<NamedBytes> => ({
  name,
  bytes: await gunzip({ name: `${name}.gz`, bytes: await readFile(`${folder}/${name}.gz`) }, 16 * 1024 ** 2),
});

/** Makes the data set from its original files. Used to write the manifest, and at every start to make the shards. */
export const buildEmbedded = async (id: EmbeddedId, readFile: ReadEmbedded): Promise<ImportedDataset> => {
  switch (id) {
    case "austen":
      return importText({
        about: {
          id,
          name: "Austen, six novels",
          description:
            "The six novels of Jane Austen, character by character: Sense and Sensibility, Pride and Prejudice, Mansfield Park, Emma, Northanger Abbey, Persuasion.",
          source: "Project Gutenberg, as packaged in the R package janeaustenr (https://github.com/juliasilge/janeaustenr)",
          license: "LicenseRef-PublicDomain",
          attribution: "Jane Austen (1775-1817). The text is in the public domain; digitised by the volunteers of Project Gutenberg.",
          citation:
            "Jane Austen: Sense and Sensibility (1811), Pride and Prejudice (1813), Mansfield Park (1814), Emma (1815), Northanger Abbey and Persuasion (1817).",
          preprocessing: "The novels in order of publication, every character kept (81 different ones).",
        },
        files: await Promise.all(NOVELS.map((novel) => unpack(readFile, id, `${novel}.txt`))),
        heldOutFraction: 0.1,
      });
    case "digits":
      return importCsv({
        about: {
          id,
          name: "Handwritten digits, 8x8",
          description: "1,797 handwritten digits by 13 writers as images of 8 by 8 pixels with values from 0 to 16.",
          source:
            "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits, test part (https://archive.ics.uci.edu/dataset/80), as packaged in scikit-learn",
          license: "CC-BY-4.0",
          attribution: "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0.",
          citation:
            "Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository. https://doi.org/10.24432/C50P49",
          preprocessing: "Each pixel counts the dark points of a 4 by 4 block of the 32 by 32 scan (done by the authors).",
        },
        file: await unpack(readFile, id, "digits.csv"),
        label: "last",
        header: false,
        scale: 16,
        labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        heldOut: { fraction: 0.2 },
      });
    default:
      return id satisfies never;
  }
};

/**
 * Manifest and shards of an embedded data set. Rejects with a DatasetFault if a file is not the one that the committed manifest names,
 * or would give other shards.
 */
export const embeddedDataset = async (id: EmbeddedId, readFile: ReadEmbedded): Promise<ImportedDataset> => {
  const stored = DatasetManifest.parse(JSON.parse(new TextDecoder().decode(await readFile(`${id}/manifest.json`))));
  const built = await buildEmbedded(id, readFile);
  for (const [index, wanted] of stored.files.entries())
    if (built.manifest.files[index]?.sha256 !== wanted.sha256)
      throw new DatasetFault(
        `The embedded file ${id}/${wanted.name} is not the one that was published with this version of Weft. Install it again.`,
      );
  const hashes = await Promise.all(built.shards.map(sha256));
  const wanted = [...stored.train, ...stored.heldOut].map((shard) => shard.sha256);
  if (hashes.join() !== wanted.join()) throw new DatasetFault(`The embedded data set ${id} gives other shards than its manifest names.`);
  return { manifest: stored, shards: built.shards };
};
