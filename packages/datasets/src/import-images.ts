// Import of labelled images: IDX (the format of MNIST) and CSV. Checks every byte that it believes; knows no disk.
import { type NamedBytes, textOf, unpacked } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { type About, assembleImages, type ImageForm, type Images, type ImportedDataset, shuffledOrder, valuesOf } from "./shards.ts";

/** The seed of every held-out split that does not name its own. */
export const SPLIT_SEED = 20_240_101;

/** A seeded shuffle of all images; `fraction` of them (rounded) is held out, the rest trains in shuffled order. */
export interface FractionSplit {
  readonly fraction: number;
  readonly seed?: number;
}

interface Idx {
  readonly dimensions: readonly number[];
  readonly data: Uint8Array;
}
/** IDX: two zero bytes, a type (8 = unsigned byte), the number of dimensions, each as u32 big-endian, then the data. [LeCun, yann.lecun.com/exdb/mnist] */
const readIdx = ({ name, bytes }: NamedBytes, dimensionsAllowed: readonly number[], holds: string): Idx => {
  const dimensionCount = bytes[3] ?? 0;
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0)
    throw new DatasetFault(`${name}, byte 0: not an IDX file (it must begin with two zero bytes).`);
  if (bytes[2] !== 8) throw new DatasetFault(`${name}, byte 2: the type is ${bytes[2]}; only unsigned bytes (8) can be imported.`);
  if (!dimensionsAllowed.includes(dimensionCount))
    throw new DatasetFault(`${name}, byte 3: ${dimensionCount} dimensions where ${holds} have ${dimensionsAllowed.join(" or ")}.`);
  const start = 4 + 4 * dimensionCount;
  if (bytes.length < start) throw new DatasetFault(`${name}, byte ${bytes.length}: the file ends within its header.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensions = Array.from({ length: dimensionCount }, (_, index) => view.getUint32(4 + 4 * index));
  const wanted = dimensions.reduce((product, extent) => product * extent, 1);
  if (bytes.length - start !== wanted)
    throw new DatasetFault(
      `${name}: ${bytes.length - start} bytes of data where the header says ${dimensions.join(" x ")} = ${wanted}; the file is ${bytes.length - start < wanted ? "truncated" : "too long"}.`,
    );
  return { dimensions, data: bytes.subarray(start) };
};

export interface IdxPair {
  readonly images: NamedBytes;
  readonly labels: NamedBytes;
}
interface IdxImages extends Images {
  readonly shape: readonly [number, number, number];
}
const readPair = async ({ images, labels }: IdxPair): Promise<IdxImages> => {
  const pixels = readIdx({ name: images.name, bytes: await unpacked(images) }, [3, 4], "images");
  const classes = readIdx({ name: labels.name, bytes: await unpacked(labels) }, [1], "labels");
  const [count = 0, height = 0, width = 0, channels = 1] = pixels.dimensions;
  if (classes.dimensions[0] !== count)
    throw new DatasetFault(`${labels.name}: ${classes.dimensions[0]} labels for the ${count} images of ${images.name}.`);
  return { pixels: pixels.data, labels: Uint16Array.from(classes.data), shape: [height, width, channels] };
};

const sequence = (from: number, to: number): Uint32Array => Uint32Array.from({ length: to - from }, (_, index) => from + index);
const checkLabels = (labels: Uint16Array, classes: number, name: string): void => {
  const at = labels.findIndex((label) => label >= classes);
  if (at >= 0) throw new DatasetFault(`${name}: label ${at} is ${labels[at]}; with ${classes} classes it must be below ${classes}.`);
};
const classesOf = (labels: Uint16Array): number => Math.max(2, 1 + labels.reduce((most, label) => Math.max(most, label), 0));

const splitOrder = (
  count: number,
  { fraction, seed = SPLIT_SEED }: FractionSplit,
): { readonly train: Uint32Array; readonly heldOut: Uint32Array; readonly said: string } => {
  if (!(fraction >= 0 && fraction < 1)) throw new DatasetFault(`The held-out fraction is ${fraction}; it must be at least 0 and below 1.`);
  const order = shuffledOrder(count, seed);
  const held = Math.round(count * fraction);
  return {
    heldOut: order.slice(0, held),
    train: order.slice(held),
    said: `The ${count} images were shuffled (Fisher-Yates by Threefry-2x32-20, seed ${seed}); the first ${held} are held out.`,
  };
};

export interface IdxOptions {
  readonly about: About;
  readonly train: IdxPair;
  /** Files of their own, or a fraction of the training files. */
  readonly heldOut: IdxPair | FractionSplit;
  /** Names of the classes; else as many as the largest label says. */
  readonly labels?: readonly string[];
}

export const importIdx = async ({ about, train, heldOut, labels: names }: IdxOptions): Promise<ImportedDataset> => {
  const first = await readPair(train);
  const pairs = "images" in heldOut ? [train, heldOut] : [train];
  const second = "images" in heldOut ? await readPair(heldOut) : null;
  if (second !== null && second.shape.join() !== first.shape.join())
    throw new DatasetFault(`The held-out images are ${second.shape.join(" x ")}, the training images ${first.shape.join(" x ")}.`);
  const trainCount = first.labels.length;
  const labels = Uint16Array.from([...first.labels, ...(second?.labels ?? [])]);
  const pixels = second === null ? first.pixels : new Uint8Array(first.pixels.length + second.pixels.length);
  if (second !== null) {
    pixels.set(first.pixels);
    pixels.set(second.pixels, first.pixels.length);
  }
  const classes = names?.length ?? classesOf(labels);
  checkLabels(labels.subarray(0, trainCount), classes, train.labels.name);
  if (second !== null && "images" in heldOut) checkLabels(labels.subarray(trainCount), classes, heldOut.labels.name);
  const [height, width, channels] = first.shape;
  if (height * width * channels === 0 || trainCount === 0) throw new DatasetFault(`${train.images.name}: holds no pixels.`);
  const form: ImageForm = { kind: "images", height, width, channels, classes, labels: [...(names ?? [])], scale: 255 };
  const split =
    "images" in heldOut
      ? {
          train: sequence(0, trainCount),
          heldOut: sequence(trainCount, labels.length),
          said: `Training images in the order of their file; ${labels.length - trainCount} images of the held-out files are held out.`,
        }
      : splitOrder(trainCount, heldOut);
  const files = pairs.flatMap((pair) => [pair.images, pair.labels]);
  return assembleImages(
    about,
    `IDX to shards, pixels unchanged. ${split.said}`,
    files,
    form,
    { pixels, labels },
    split.train,
    split.heldOut,
  );
};

export interface CsvOptions {
  readonly about: About;
  readonly file: NamedBytes;
  /** Which column is the label. */
  readonly label: "first" | "last";
  /** Whether the first line names the columns. */
  readonly header: boolean;
  /** Absent: square, one channel. */
  readonly shape?: { readonly height: number; readonly width: number; readonly channels: number };
  /** The pixel value that becomes 1.0; 255 unless told. */
  readonly scale?: number;
  readonly labels?: readonly string[];
  readonly heldOut: FractionSplit;
}

const wholeNumber = /^\d{1,5}$/;

export const importCsv = async (options: CsvOptions): Promise<ImportedDataset> => {
  const { about, file, label, header, heldOut, labels: names, scale = 255 } = options;
  const { name } = file;
  const lines = textOf({ name, bytes: await unpacked(file) }).split(/\r?\n/);
  const firstLine = header ? 1 : 0;
  while (lines.length > 0 && lines.at(-1) === "") lines.pop();
  const count = lines.length - firstLine;
  if (count < 1) throw new DatasetFault(`${name}: holds no rows.`);
  const columns = (lines[firstLine] ?? "").split(",").length;
  const values = columns - 1;
  if (values < 1)
    throw new DatasetFault(`${name}, line ${firstLine + 1}: one column; a row is the pixels and the label, separated by commas.`);
  const side = Math.sqrt(values);
  if (options.shape === undefined && !Number.isInteger(side))
    throw new DatasetFault(`${name}: ${values} pixels a row are no square; say the height and width.`);
  const { height, width, channels } = options.shape ?? { height: side, width: side, channels: 1 };
  if (height * width * channels !== values)
    throw new DatasetFault(`${name}: ${values} pixels a row, but ${height} x ${width} x ${channels} is ${height * width * channels}.`);

  const pixels = new Uint8Array(count * values);
  const labels = new Uint16Array(count);
  const labelColumn = label === "first" ? 0 : columns - 1;
  for (let row = 0; row < count; row++) {
    const line = firstLine + row + 1;
    const cells = (lines[firstLine + row] ?? "").split(",");
    if (cells.length !== columns)
      throw new DatasetFault(`${name}, line ${line}: ${cells.length} columns where the first row has ${columns}.`);
    let place = row * values;
    for (const [column, cell] of cells.entries()) {
      const text = cell.trim();
      const number = wholeNumber.test(text) ? Number(text) : Number.NaN;
      const isLabel = column === labelColumn;
      const most = isLabel ? (names?.length ?? 65_536) - 1 : Math.min(255, scale);
      if (!(number <= most))
        throw new DatasetFault(
          `${name}, line ${line}, column ${column + 1}: "${text.slice(0, 20)}" is no ${isLabel ? "label" : "pixel"} (a whole number from 0 to ${most}).${row === 0 && !header && Number.isNaN(number) ? " If the first line names the columns, say that there is a header." : ""}`,
        );
      if (isLabel) labels[row] = number;
      else pixels[place++] = number;
    }
  }
  const form: ImageForm = {
    kind: "images",
    height,
    width,
    channels,
    classes: names?.length ?? classesOf(labels),
    labels: [...(names ?? [])],
    scale,
  };
  const { train, heldOut: held, said } = splitOrder(count, heldOut);
  const did = `CSV (label ${label}) to shards of ${valuesOf(form)} bytes an image, values unchanged. ${said}`;
  return assembleImages(about, did, [file], form, { pixels, labels }, train, held);
};
