// The samples of an assignment, for a volunteer: the run's sampler over the data set's shards, or a client's own samples. Has the shape of the
// volunteer's data port; the sampler's rules are injected.
import { type Assignment, type DatasetManifest, type RunSpec, readsText, type SamplerSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import { DatasetFault } from "./fault.ts";
import { clientsOf } from "./partitions/clients.ts";
import type { Partition } from "./partitions/partition.ts";
import { type DatasetReader, datasetReader, type ShardSource, windowPopulation } from "./reader.ts";

/** Sample at `position` of the run's endless stream, among `population`. */
export type DrawSample = (sampler: SamplerSpec, seed: number, position: number, population: number) => number;

/** Which of a client's own `size` samples comes at `place` in epoch `epoch` of the visit at `position`. */
export type VisitSample = (seed: number, position: number, epoch: number, size: number, place: number) => number;

interface AssignedWork {
  readonly assignment: Assignment;
  readonly spec: RunSpec;
  readonly manifest: DatasetManifest;
}
export interface AssignedData {
  /** Rows `from` to `to` (exclusive, relative to the assignment) as a batch of exactly `rows` rows, padded with weight 0. */
  batch(work: AssignedWork, from: number, to: number, rows: number): Promise<Batch>;
}

/** Readers kept: a volunteer serves one run at a time, and may be changing to the next. */
const READERS = 2;

export interface VolunteerDataOptions {
  readonly blobs: ShardSource;
  readonly draw: DrawSample;
  readonly visit: VisitSample;
}

export const volunteerData = ({ blobs, draw, visit }: VolunteerDataOptions): AssignedData => {
  const readers = new Map<string, DatasetReader>();
  /** Of one run at a time. */
  let shared: { readonly key: string; readonly clients: Promise<Partition> } | null = null;
  const readerOf = ({ assignment, manifest }: AssignedWork): DatasetReader => {
    const key = assignment.dataset.sha256;
    const reader = readers.get(key) ?? datasetReader(manifest, blobs, "train");
    readers.delete(key);
    readers.set(key, reader);
    for (const oldest of readers.keys()) {
      if (readers.size <= READERS) break;
      readers.delete(oldest);
    }
    return reader;
  };
  const clientsFor = ({ assignment, spec }: AssignedWork, reader: DatasetReader): Promise<Partition> => {
    const key = `${assignment.dataset.sha256} ${assignment.spec.sha256}`;
    if (shared?.key !== key) {
      const clients = clientsOf(spec, reader);
      shared = { key, clients };
      clients.catch(() => {
        if (shared?.clients === clients) shared = null;
      });
    }
    return shared.clients;
  };
  /** Rows of a visit: epoch after epoch over the client's samples, each in an order of its own. */
  const visited = async (work: AssignedWork, epochs: number, reader: DatasetReader): Promise<(row: number) => number> => {
    const { assignment, spec, manifest } = work;
    const clients = await clientsFor(work, reader);
    const client = draw(spec.sampler, spec.seed, assignment.start, 1);
    const size = clients.size(client);
    if (size * epochs !== assignment.samples)
      throw new DatasetFault(
        `Client ${client} of ${manifest.id} has ${size} samples; ${epochs} epochs of them are not ${assignment.samples}.`,
      );
    return (row) => clients.sample(client, visit(spec.seed, assignment.start, Math.floor(row / size), size, row % size));
  };
  return {
    batch: async (work, from, to, rows) => {
      const { assignment, spec, manifest } = work;
      if (!(from >= 0 && from <= to && to <= assignment.samples)) throw new RangeError(`rows ${from} to ${to} of ${assignment.samples}`);
      const reader = readerOf(work);
      const context = readsText(spec.model) ? spec.model.context : null;
      const population = context === null ? reader.samples : windowPopulation(reader.samples, context);
      if (population < 1) throw new DatasetFault(`The data set ${manifest.id} is too short for this run.`);
      const { sampler, seed } = spec;
      const sampleAt =
        sampler.kind === "clients"
          ? await visited(work, sampler.epochs, reader)
          : (row: number) => draw(sampler, seed, assignment.start + row, population);
      const samples = Float64Array.from({ length: to - from }, (_, row) => sampleAt(from + row));
      return context === null ? reader.images(samples, rows) : reader.windows(samples, context, rows);
    },
  };
};
