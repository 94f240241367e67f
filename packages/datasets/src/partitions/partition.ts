// How the samples of a data set are shared out among clients, as federated learning has it: a function of the kind, the seed, the number of
// clients and the labels alone, the same on every machine. Every sample belongs to exactly one client, and every client has at least one.
// Knows neither shards nor models: a sample is a number.
import type { PartitionSpec } from "@weft/protocol";
import { permuted, randomStream } from "@weft/tensors";
import { DatasetFault } from "../fault.ts";

/**
 * `iid`: a seeded permutation in pieces of equal size. `label-shards`: the samples in the order of their labels, in equal pieces, so many for
 * each client; with 2, most have two labels [McMahan et al., 1602.05629]. `dirichlet`: each label's samples by shares that are drawn from a
 * Dirichlet distribution; the smaller alpha, the more uneven [Yurochkin et al., 1905.12022].
 */
export type PartitionKind = Exclude<PartitionSpec, { kind: "role" }>;

export interface Partition {
  readonly clients: number;
  /** Samples of a client, 1 or more. */
  size(client: number): number;
  /** Its `index`-th sample, 0 to size - 1. */
  sample(client: number, index: number): number;
}

export interface PartitionOptions {
  readonly seed: number;
  readonly clients: number;
  /** How many samples there are to share out. */
  readonly samples: number;
  /** Of all samples, where they have any. */
  readonly labels: ArrayLike<number> | null;
}

/** Streams of the seed for partitions. */
const ORDER = 0;
const DRAWS = 1;

/** Throws a DatasetFault where the samples are too few for so many clients, or have no labels and need them. */
export function partitionOf(kind: PartitionKind, options: PartitionOptions): Partition {
  const { clients, samples, seed } = options;
  const pieces = kind.kind === "label-shards" ? clients * kind.shardsPerClient : clients;
  if (samples < pieces)
    throw new DatasetFault(`${samples} samples cannot be shared out in ${pieces} parts: choose fewer clients, or a larger data set.`);
  switch (kind.kind) {
    case "iid": {
      const random = randomStream(seed, ORDER, "partition");
      const cut = evenCuts(samples, clients);
      return {
        clients,
        size: (client) => cut(client + 1) - cut(client),
        sample: (client, index) => permuted(random, samples, cut(client) + index),
      };
    }
    case "label-shards":
      return byLabelShards(kind.shardsPerClient, labelsOf(options), options);
    case "dirichlet":
      return listed(dirichletOwners(kind.alpha, labelsOf(options), options), clients);
    default:
      return kind satisfies never;
  }
}

function labelsOf({ labels, samples }: PartitionOptions): ArrayLike<number> {
  if (labels === null) throw new DatasetFault("The data set has no labels by which its samples could be shared out.");
  if (labels.length !== samples) throw new RangeError(`${labels.length} labels of ${samples} samples`);
  return labels;
}

/** First place of each of `parts` parts of `size` places: their sizes differ by one at most. */
const evenCuts =
  (size: number, parts: number) =>
  (part: number): number =>
    Math.floor((part * size) / parts);

function byLabelShards(shardsPerClient: number, labels: ArrayLike<number>, { seed, clients, samples }: PartitionOptions): Partition {
  const order = grouped(labels).members;
  const shards = clients * shardsPerClient;
  const cut = evenCuts(samples, shards);
  const random = randomStream(seed, ORDER, "partition");
  const dealt = (client: number, place: number): number => permuted(random, shards, client * shardsPerClient + place);
  const sizeOf = (shard: number): number => cut(shard + 1) - cut(shard);
  return {
    clients,
    size: (client) => {
      let size = 0;
      for (let place = 0; place < shardsPerClient; place++) size += sizeOf(dealt(client, place));
      return size;
    },
    sample: (client, index) => {
      let rest = index;
      for (let place = 0; place < shardsPerClient; place++) {
        const shard = dealt(client, place);
        if (rest < sizeOf(shard)) return order[cut(shard) + rest] as number;
        rest -= sizeOf(shard);
      }
      throw new RangeError(`sample ${index} of client ${client}`);
    },
  };
}

/**
 * Whose each sample is. Drawing shares from a symmetric Dirichlet(alpha) and then each sample's owner by the shares is Polya's urn: the next
 * sample of a label goes to the owner of an earlier one of that label, drawn evenly, with probability n / (n + clients * alpha) after n of
 * them, and else to any client. So nothing but sums, products and comparisons decides, and every machine decides the same. Before that each
 * client gets one sample, so that none stays empty.
 */
function dirichletOwners(alpha: number, labels: ArrayLike<number>, { seed, clients, samples }: PartitionOptions): Uint32Array {
  const order = randomStream(seed, ORDER, "partition");
  const draws = randomStream(seed, DRAWS, "partition");
  const owners = new Uint32Array(samples);
  /** Of each label, the owners of those drawn so far. */
  const urns = new Map<number, number[]>();
  for (let place = 0; place < samples; place++) {
    const sample = permuted(order, samples, place);
    if (place < clients) {
      owners[sample] = place;
      continue;
    }
    const label = labels[sample] as number;
    const urn = urns.get(label) ?? [];
    if (urn.length === 0) urns.set(label, urn);
    const share = (draws.bits53At(2 * place) / 2 ** 53) * (urn.length + clients * alpha);
    const pick = draws.bits53At(2 * place + 1);
    const owner = share < urn.length ? (urn[pick % urn.length] as number) : pick % clients;
    urn.push(owner);
    owners[sample] = owner;
  }
  return owners;
}

function listed(owners: Uint32Array, clients: number): Partition {
  const { members, begins } = grouped(owners, clients);
  const begin = (client: number): number => begins[client] as number;
  return {
    clients,
    size: (client) => begin(client + 1) - begin(client),
    sample: (client, index) => members[begin(client) + index] as number,
  };
}

/** Places of `groups`, by group and rising within each; group g has those from begins[g] to begins[g + 1]. */
function grouped(groups: ArrayLike<number>, count = 1 + maximum(groups)): { readonly members: Uint32Array; readonly begins: Uint32Array } {
  const begins = new Uint32Array(count + 1);
  for (let at = 0; at < groups.length; at++) {
    const next = (groups[at] as number) + 1;
    begins[next] = (begins[next] as number) + 1;
  }
  for (let group = 0; group < count; group++) begins[group + 1] = (begins[group + 1] as number) + (begins[group] as number);
  const members = new Uint32Array(groups.length);
  const free = begins.slice();
  for (let at = 0; at < groups.length; at++) {
    const group = groups[at] as number;
    const place = free[group] as number;
    members[place] = at;
    free[group] = place + 1;
  }
  return { members, begins };
}

function maximum(values: ArrayLike<number>): number {
  let most = 0;
  for (let at = 0; at < values.length; at++) most = Math.max(most, values[at] as number);
  return most;
}
