// The samples of an assignment, for a volunteer: the run's sampler over the data set's shards. Has the shape of the volunteer's data port;
// the sampler's rule is injected.
import { type Assignment, type DatasetManifest, type RunSpec, readsText, type SamplerSpec } from "@weft/protocol";
import type { Batch } from "@weft/tensors";
import { DatasetFault } from "./fault.ts";
import { type DatasetReader, datasetReader, type ShardSource, windowPopulation } from "./reader.ts";

/** Sample at `position` of the run's endless stream, among `population`. */
export type DrawSample = (sampler: SamplerSpec, seed: number, position: number, population: number) => number;

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

export const volunteerData = ({ blobs, draw }: { readonly blobs: ShardSource; readonly draw: DrawSample }): AssignedData => {
  const readers = new Map<string, DatasetReader>();
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
  return {
    batch: async (work, from, to, rows) => {
      const { assignment, spec, manifest } = work;
      if (!(from >= 0 && from <= to && to <= assignment.samples)) throw new RangeError(`rows ${from} to ${to} of ${assignment.samples}`);
      const reader = readerOf(work);
      const context = readsText(spec.model) ? spec.model.context : null;
      const population = context === null ? reader.samples : windowPopulation(reader.samples, context);
      if (population < 1) throw new DatasetFault(`The data set ${manifest.id} is too short for this run.`);
      const samples = Float64Array.from({ length: to - from }, (_, row) =>
        draw(spec.sampler, spec.seed, assignment.start + from + row, population),
      );
      return context === null ? reader.images(samples, rows) : reader.windows(samples, context, rows);
    },
  };
};
