// Makes shards and the manifest from samples: the layouts that DataForm in @weft/protocol describes. Knows no file format.
import { DatasetManifest, type Role, type Shard, type SourceFile } from "@weft/protocol";
import { randomStream } from "@weft/tensors";
import { type NamedBytes, sha256 } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";

/** Small enough to fetch while a lease is computed on a slow line, large enough that a data set is not thousands of requests. */
export const MAX_SHARD_BYTES = 1024 * 1024;

/** What says whose the data is and how it came to be; the rest of a manifest is computed. */
export type About = Pick<DatasetManifest, "id" | "name" | "description" | "source" | "license" | "attribution" | "citation"> & {
  /** Said before what the import itself did. */
  readonly preprocessing?: string;
};
export interface ImportedDataset {
  readonly manifest: DatasetManifest;
  /** The bytes of every shard that the manifest names, in its order. */
  readonly shards: readonly Uint8Array[];
}

export type ImageForm = Extract<DatasetManifest["form"], { kind: "images" }>;
export type TextForm = Extract<DatasetManifest["form"], { kind: "text" }>;

export interface Images {
  /** u8, [count, height, width, channels]. */
  readonly pixels: Uint8Array;
  readonly labels: Uint16Array;
}

export const sourceFile = async ({ name, bytes }: NamedBytes): Promise<SourceFile> => ({
  name,
  sizeBytes: bytes.length,
  sha256: await sha256(bytes),
});

export const valuesOf = ({ height, width, channels }: ImageForm): number => height * width * channels;
export const labelBytesOf = ({ classes }: ImageForm): 1 | 2 => (classes > 256 ? 2 : 1);
export const tokenBytesOf = ({ alphabet }: TextForm): 1 | 2 => (alphabet.length > 256 ? 2 : 1);

/** The order of 0 ... count - 1 after a Fisher-Yates shuffle by the split stream of `seed`; the same everywhere. */
export const shuffledOrder = (count: number, seed: number): Uint32Array => {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const random = randomStream(seed, 0, "split");
  for (let last = count - 1; last > 0; last--) {
    const other = random.bits53At(last) % (last + 1);
    const held = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = held;
  }
  return order;
};

interface Part {
  readonly shard: Shard;
  readonly bytes: Uint8Array;
}
const partOf = async (bytes: Uint8Array, samples: number): Promise<Part> => ({
  shard: { sha256: await sha256(bytes), sizeBytes: bytes.length, samples },
  bytes,
});

/** Shards of the images that `order` names, in that order: records of pixels, then their labels. */
const imageParts = async (form: ImageForm, { pixels, labels }: Images, order: Uint32Array): Promise<Part[]> => {
  const values = valuesOf(form);
  const labelBytes = labelBytesOf(form);
  const most = Math.floor(MAX_SHARD_BYTES / (values + labelBytes));
  if (most < 1) throw new DatasetFault(`One image takes ${values} bytes; the most that fits a shard is ${MAX_SHARD_BYTES - labelBytes}.`);
  const parts: Part[] = [];
  for (let from = 0; from < order.length; from += most) {
    const samples = Math.min(most, order.length - from);
    const bytes = new Uint8Array(samples * (values + labelBytes));
    const view = new DataView(bytes.buffer);
    for (let place = 0; place < samples; place++) {
      const index = order[from + place] ?? 0;
      bytes.set(pixels.subarray(index * values, (index + 1) * values), place * values);
      const at = samples * values + place * labelBytes;
      if (labelBytes === 1) view.setUint8(at, labels[index] ?? 0);
      else view.setUint16(at, labels[index] ?? 0, true);
    }
    parts.push(await partOf(bytes, samples));
  }
  return parts;
};

const textParts = async (form: TextForm, tokens: Uint16Array): Promise<Part[]> => {
  const width = tokenBytesOf(form);
  const most = MAX_SHARD_BYTES / width;
  const parts: Part[] = [];
  for (let from = 0; from < tokens.length; from += most) {
    const piece = tokens.subarray(from, from + most);
    const bytes = new Uint8Array(piece.length * width);
    const view = new DataView(bytes.buffer);
    for (const [index, token] of piece.entries())
      if (width === 1) view.setUint8(index, token);
      else view.setUint16(2 * index, token, true);
    parts.push(await partOf(bytes, piece.length));
  }
  return parts;
};

const assemble = (
  about: About,
  did: string,
  files: SourceFile[],
  form: DatasetManifest["form"],
  train: Part[],
  heldOut: Part[],
  roles?: readonly Role[],
): ImportedDataset => {
  const { preprocessing, ...rest } = about;
  const found = DatasetManifest.safeParse({
    format: "weft-dataset/1",
    ...rest,
    preprocessing: preprocessing === undefined ? did : `${preprocessing} ${did}`,
    files,
    form,
    train: train.map(({ shard }) => shard),
    heldOut: heldOut.map(({ shard }) => shard),
    ...(roles === undefined ? {} : { roles }),
  });
  if (!found.success) {
    const issue = found.error.issues[0];
    throw new DatasetFault(
      `The data set's ${issue?.path.join(".") || "manifest"} is not acceptable: ${issue?.message ?? "unknown reason"}.`,
    );
  }
  return { manifest: found.data, shards: [...train, ...heldOut].map(({ bytes }) => bytes) };
};

/** `heldOut`: the images that are never trained on, as positions; the rest trains, both in the order given. */
export const assembleImages = async (
  about: About,
  did: string,
  files: readonly NamedBytes[],
  form: ImageForm,
  images: Images,
  train: Uint32Array,
  heldOut: Uint32Array,
): Promise<ImportedDataset> => {
  if (train.length === 0) throw new DatasetFault("No image is left to train on. Hold out a smaller fraction, or import more images.");
  const sources = await Promise.all(files.map(sourceFile));
  return assemble(about, did, sources, form, await imageParts(form, images, train), await imageParts(form, images, heldOut));
};

export const assembleText = async (
  about: About,
  did: string,
  files: readonly NamedBytes[],
  form: TextForm,
  train: Uint16Array,
  heldOut: Uint16Array,
  roles?: readonly Role[],
): Promise<ImportedDataset> => {
  if (train.length < 2) throw new DatasetFault("The text is too short: fewer than two characters are left to train on.");
  const sources = await Promise.all(files.map(sourceFile));
  return assemble(about, did, sources, form, await textParts(form, train), await textParts(form, heldOut), roles);
};
