// Well-known data sets: official addresses, pinned lengths and hashes, licences. The download itself is injected; nothing is stored here.
import { gunzip, isGzip, type NamedBytes, sha256 } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { importIdx } from "./import-images.ts";
import { importRoles } from "./import-roles.ts";
import { importText } from "./import-text.ts";
import type { About, ImportedDataset } from "./shards.ts";

interface RecipeFile {
  /** The unpacked file. Length and hash are those of the unpacked bytes, so that a mirror may pack them anew. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly address: string;
}
export interface Recipe {
  readonly about: About;
  readonly files: readonly RecipeFile[];
  make(about: About, files: readonly NamedBytes[]): Promise<ImportedDataset>;
}

const importPairs =
  (labels: readonly string[]): Recipe["make"] =>
  (about, [images, names, heldImages, heldNames]) => {
    if (images === undefined || names === undefined || heldImages === undefined || heldNames === undefined)
      throw new RangeError("four files");
    return importIdx({ about, labels, train: { images, labels: names }, heldOut: { images: heldImages, labels: heldNames } });
  };

/** The four files of MNIST and of all that has its form, from one folder of a server. */
const idxFiles = (folder: string, hashes: readonly [string, string, string, string]): RecipeFile[] =>
  (
    [
      ["train-images-idx3-ubyte", 47_040_016],
      ["train-labels-idx1-ubyte", 60_008],
      ["t10k-images-idx3-ubyte", 7_840_016],
      ["t10k-labels-idx1-ubyte", 10_008],
    ] as const
  ).map(([name, sizeBytes], index) => ({ name, sizeBytes, sha256: hashes[index] ?? "", address: `${folder}/${name}.gz` }));

/** What the recipes of tinyshakespeare share: they cut one file in two ways. */
const TINYSHAKESPEARE = {
  source: "https://github.com/karpathy/char-rnn/blob/master/data/tinyshakespeare/input.txt",
  license: "LicenseRef-PublicDomain",
  attribution: "William Shakespeare (1564-1616). The text is in the public domain; collected by Andrej Karpathy.",
  citation:
    "Karpathy, A. (2015). The Unreasonable Effectiveness of Recurrent Neural Networks. https://karpathy.github.io/2015/05/21/rnn-effectiveness/",
} as const;
const TINYSHAKESPEARE_FILES: readonly RecipeFile[] = [
  {
    name: "input.txt",
    sizeBytes: 1_115_394,
    sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    address: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  },
];

export const RECIPES: Readonly<Record<string, Recipe>> = {
  mnist: {
    about: {
      id: "mnist",
      name: "MNIST",
      description: "70,000 handwritten digits as images of 28 by 28 grey pixels; 10,000 of them, by other writers, are held out.",
      source:
        "https://ossci-datasets.s3.amazonaws.com/mnist/ (the mirror that torchvision uses; first at http://yann.lecun.com/exdb/mnist/)",
      license: "CC-BY-SA-3.0",
      attribution: "Yann LeCun and Corinna Cortes hold the copyright of MNIST, which is derived from NIST data; CC BY-SA 3.0.",
      citation:
        "LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition. Proceedings of the IEEE 86(11), 2278-2324.",
    },
    files: idxFiles("https://ossci-datasets.s3.amazonaws.com/mnist", [
      "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ]),
    make: importPairs(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
  },
  "fashion-mnist": {
    about: {
      id: "fashion-mnist",
      name: "Fashion-MNIST",
      description: "70,000 pictures of Zalando's articles in ten classes, 28 by 28 grey pixels; 10,000 of them are held out.",
      source: "https://github.com/zalandoresearch/fashion-mnist",
      license: "MIT",
      attribution: "Copyright 2017 Zalando SE, https://tech.zalando.com; MIT licence.",
      citation:
        "Xiao, H., Rasul, K. and Vollgraf, R. (2017). Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms. arXiv:1708.07747.",
    },
    files: idxFiles("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion", [
      "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
      "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
      "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
      "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ]),
    make: importPairs(["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]),
  },
  tinyshakespeare: {
    about: {
      id: "tinyshakespeare",
      name: "Tiny Shakespeare",
      description: "1,115,394 characters of Shakespeare's plays, as used to introduce character models; the last tenth is held out.",
      ...TINYSHAKESPEARE,
    },
    files: TINYSHAKESPEARE_FILES,
    make: (about, files) => importText({ about, files, heldOutFraction: 0.1 }),
  },
  "tinyshakespeare-by-role": {
    about: {
      id: "tinyshakespeare-by-role",
      name: "Tiny Shakespeare, by role",
      description:
        "The same plays laid out by who speaks, so that each role can be a client; the last fifth of each role's lines is held out.",
      ...TINYSHAKESPEARE,
    },
    files: TINYSHAKESPEARE_FILES,
    make: (about, files) => importRoles({ about, files }),
  },
};

/**
 * Where bytes come from: an address, refusing more than `maxBytes`; errors are sentences. A folder of local files is another such source:
 * it is asked by address too, and looks for the file's name.
 */
export type FetchBytes = (address: string, maxBytes: number) => Promise<Uint8Array>;

/** What comes with one file; `done` of `of` files are here. */
export type FetchProgress = (name: string, done: number, of: number) => void;

/** Gets every file, checks every length and hash, and only then makes the data set: a bad file leaves nothing behind. */
export const fetchDataset = async (
  name: string,
  fetchBytes: FetchBytes,
  progress: FetchProgress = () => undefined,
): Promise<ImportedDataset> => {
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (recipe === undefined) throw new DatasetFault(`There is no recipe for "${name}"; there are ${Object.keys(RECIPES).join(", ")}.`);
  return fetchRecipe(recipe, fetchBytes, progress);
};

export const fetchRecipe = async (
  recipe: Recipe,
  fetchBytes: FetchBytes,
  progress: FetchProgress = () => undefined,
): Promise<ImportedDataset> => {
  const files: NamedBytes[] = [];
  for (const [index, file] of recipe.files.entries()) {
    progress(file.name, index, recipe.files.length);
    // Packed bytes are never longer than unpacked ones by more than gzip's header.
    files.push(await checked(file, await fetchBytes(file.address, file.sizeBytes + 1024)));
  }
  return recipe.make(recipe.about, files);
};

const checked = async (file: RecipeFile, found: Uint8Array): Promise<NamedBytes> => {
  const bytes = isGzip(found) ? await gunzip({ name: file.name, bytes: found }, file.sizeBytes) : found;
  if (bytes.length !== file.sizeBytes)
    throw new DatasetFault(
      `${file.name}: ${bytes.length} bytes where ${file.sizeBytes} are due; the file is ${bytes.length < file.sizeBytes ? "truncated" : "not the published one"}. Nothing was imported.`,
    );
  const hash = await sha256(bytes);
  if (hash !== file.sha256)
    throw new DatasetFault(
      `${file.name}: its SHA-256 is ${hash}, not the published ${file.sha256}. The file is not the published one; nothing was imported.`,
    );
  return { name: file.name, bytes };
};
