// Samples of a data set as batches: finds the shards, checks and caches them, decodes rows. Knows no sampler and no network.
import type { DatasetManifest, Role, Shard } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import { DatasetFault } from "./fault.ts";
import { type ImageForm, labelBytesOf, type TextForm, tokenBytesOf, valuesOf } from "./shards.ts";

/** Immutable bytes by hash, already checked against it. */
export interface ShardSource {
  get(sha256: string, sizeBytes: number): Promise<Uint8Array>;
}
export type Split = "train" | "heldOut";

export interface DatasetReader {
  /** Images, or tokens of the text. */
  readonly samples: number;
  /** Batch of `rows` rows: the images `indices` (at most `rows`) in that order, then padding of weight 0. f32 [rows, values], byte / scale. */
  images(indices: ArrayLike<number>, rows: number): Promise<Batch>;
  /** Batch of windows of `context` tokens that begin at `starts`; targets are the tokens one place later. i32 [rows, context]. */
  windows(starts: ArrayLike<number>, context: number, rows: number): Promise<Batch>;
  /** Of all images, in order; reads every shard once. Null for a text. */
  labels(): Promise<Uint16Array | null>;
  /** Whose the training text is, one part after another; null where the data set does not say, and of what is held out. */
  readonly roles: readonly Role[] | null;
}

/** Shards kept in memory by one reader: all of the embedded sets, and half of MNIST. */
export const CACHE_BYTES = 32 * 1024 ** 2;

/**
 * Reading outside the split is a RangeError, a caller's error. A shard whose length, labels or tokens break the manifest's promise is a
 * DatasetFault: whoever published it is wrong.
 */
export const datasetReader = (manifest: DatasetManifest, blobs: ShardSource, split: Split, cacheBytes = CACHE_BYTES): DatasetReader => {
  const { form } = manifest;
  const shards = manifest[split];
  const begins: number[] = [];
  let samples = 0;
  for (const shard of shards) {
    begins.push(samples);
    samples += shard.samples;
  }
  const fetchShard = shardCache(manifest, blobs, cacheBytes);

  /** Index of the shard that holds sample `index`. */
  const shardOf = (index: number): number => {
    let low = 0;
    let high = begins.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((begins[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const check = (items: ArrayLike<number>, rows: number, population: number, what: string): void => {
    if (items.length > rows) throw new RangeError(`${items.length} ${what}s for ${rows} rows`);
    for (let row = 0; row < items.length; row++) {
      const item = items[row] ?? -1;
      if (!Number.isInteger(item) || item < 0 || item >= population)
        throw new RangeError(`${manifest.id}, ${split}: ${what} ${item} of ${population}`);
    }
  };
  const at = async (number: number): Promise<{ readonly bytes: Uint8Array; readonly begin: number; readonly shard: Shard }> => {
    const shard = shards[number];
    if (shard === undefined) throw new RangeError(`${manifest.id}, ${split}: shard ${number} of ${shards.length}`);
    return { bytes: await fetchShard(shard), begin: begins[number] ?? 0, shard };
  };
  const weightsFor = (real: number, rows: number): Float32Array => new Float32Array(rows).fill(1, 0, real);

  return {
    samples,
    roles: split === "train" ? (manifest.roles ?? null) : null,
    images: async (indices, rows) => {
      if (form.kind !== "images") throw new RangeError(`${manifest.id} is a text`);
      check(indices, rows, samples, "image");
      const values = valuesOf(form);
      const inputs = new Float32Array(rows * values);
      const targets = new Int32Array(rows);
      await eachByShard(indices, shardOf, async (number, places) => {
        const { bytes, begin, shard } = await at(number);
        for (const row of places) {
          const place = (indices[row] ?? 0) - begin;
          for (let value = 0; value < values; value++) inputs[row * values + value] = (bytes[place * values + value] ?? 0) / form.scale;
          targets[row] = labelAt(form, bytes, shard.samples, place);
        }
      });
      return { rows, inputs, targets, weights: weightsFor(indices.length, rows) };
    },
    windows: async (starts, context, rows) => {
      if (form.kind !== "text") throw new RangeError(`${manifest.id} is a set of images`);
      check(starts, rows, windowPopulation(samples, context), "window");
      const inputs = new Int32Array(rows * context);
      const targets = new Int32Array(rows * context);
      const width = tokenBytesOf(form);
      for (let row = 0; row < starts.length; row++) {
        const start = starts[row] ?? 0;
        // context + 1 tokens, which may lie in several shards.
        for (let done = 0; done <= context; ) {
          const { bytes, begin, shard } = await at(shardOf(start + done));
          const until = Math.min(context + 1, begin + shard.samples - start);
          for (; done < until; done++) {
            const place = start + done - begin;
            const token = width === 1 ? (bytes[place] ?? 0) : (bytes[2 * place] ?? 0) | ((bytes[2 * place + 1] ?? 0) << 8);
            if (done < context) inputs[row * context + done] = token;
            if (done > 0) targets[row * context + done - 1] = token;
          }
        }
      }
      return { rows, inputs, targets, weights: weightsFor(starts.length, rows) };
    },
    labels: async () => {
      if (form.kind !== "images") return null;
      const labels = new Uint16Array(samples);
      for (let number = 0; number < shards.length; number++) {
        const { bytes, begin, shard } = await at(number);
        for (let place = 0; place < shard.samples; place++) labels[begin + place] = labelAt(form, bytes, shard.samples, place);
      }
      return labels;
    },
  };
};

/** Windows of `context` tokens and the one after the last, among `tokens`. */
export const windowPopulation = (tokens: number, context: number): number => Math.max(0, tokens - context);

/** `count` of 0 ... population - 1 (or all, if fewer), evenly spread and rising: the held-out samples of an evaluation, the same each time. */
export const evenlySpread = (count: number, population: number): Uint32Array => {
  const taken = Math.min(count, population);
  return Uint32Array.from({ length: taken }, (_, index) => Math.floor((index * population) / taken));
};

const labelAt = (form: ImageForm, bytes: Uint8Array, samples: number, place: number): number => {
  const labels = samples * valuesOf(form);
  return labelBytesOf(form) === 1
    ? (bytes[labels + place] ?? 0)
    : (bytes[labels + 2 * place] ?? 0) | ((bytes[labels + 2 * place + 1] ?? 0) << 8);
};

/** Groups rows by shard, so that each shard is looked up once however the rows are mixed. */
const eachByShard = async (
  indices: ArrayLike<number>,
  shardOf: (index: number) => number,
  visit: (shard: number, rows: readonly number[]) => Promise<void>,
): Promise<void> => {
  const groups = new Map<number, number[]>();
  for (let row = 0; row < indices.length; row++) {
    const shard = shardOf(indices[row] ?? 0);
    const rows = groups.get(shard);
    if (rows === undefined) groups.set(shard, [row]);
    else rows.push(row);
  }
  for (const [shard, rows] of groups) await visit(shard, rows);
};

/** Least recently used first out; concurrent calls for one shard share one fetch. */
const shardCache = (manifest: DatasetManifest, blobs: ShardSource, cacheBytes: number): ((shard: Shard) => Promise<Uint8Array>) => {
  const cache = new Map<string, Promise<Uint8Array>>();
  const sizes = new Map<string, number>();
  let total = 0;
  const forget = (sha256: string): void => {
    total -= sizes.get(sha256) ?? 0;
    sizes.delete(sha256);
    cache.delete(sha256);
  };
  return (shard) => {
    const { sha256, sizeBytes } = shard;
    const held = cache.get(sha256);
    if (held !== undefined) {
      cache.delete(sha256);
      cache.set(sha256, held);
      return held;
    }
    const work = (async () => {
      const bytes = await blobs.get(sha256, sizeBytes);
      checkShard(manifest, shard, bytes);
      return bytes;
    })();
    cache.set(sha256, work);
    sizes.set(sha256, sizeBytes);
    total += sizeBytes;
    work.catch(() => forget(sha256));
    for (const oldest of cache.keys()) {
      if (total <= cacheBytes || oldest === sha256) break;
      forget(oldest);
    }
    return work;
  };
};

const checkShard = ({ id, form }: DatasetManifest, { sha256, sizeBytes, samples }: Shard, bytes: Uint8Array): void => {
  const fail = (what: string): never => {
    throw new DatasetFault(`The data set ${id} is not what its manifest says: shard ${sha256.slice(0, 12)} ${what}.`);
  };
  const wanted = form.kind === "images" ? samples * (valuesOf(form) + labelBytesOf(form)) : samples * tokenBytesOf(form);
  if (bytes.length !== wanted || sizeBytes !== wanted) fail(`has ${bytes.length} bytes where ${samples} samples take ${wanted}`);
  if (form.kind === "images") {
    for (let place = 0; place < samples; place++) {
      const label = labelAt(form, bytes, samples, place);
      if (label >= form.classes) fail(`has the label ${label} of ${form.classes} classes`);
    }
    return;
  }
  checkTokens(form, bytes, fail);
};

const checkTokens = (form: TextForm, bytes: Uint8Array, fail: (what: string) => never): void => {
  const width = tokenBytesOf(form);
  for (let at = 0; at < bytes.length; at += width) {
    const token = width === 1 ? (bytes[at] ?? 0) : (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    if (token >= form.alphabet.length) fail(`has the token ${token} of ${form.alphabet.length}`);
  }
};
