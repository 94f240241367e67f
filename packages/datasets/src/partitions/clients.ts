// The clients of a run: its data set shared out among them as its sampler says. The same on the coordinator's machine, which writes each one's
// size into the ledger, and on a volunteer's. Knows no network.
import { type RunSpec, readsText } from "@weft/protocol";
import { DatasetFault } from "../fault.ts";
import type { DatasetReader } from "../reader.ts";
import { byRole } from "./by-role.ts";
import { type Partition, partitionOf } from "./partition.ts";

/**
 * What a client has are images, or windows of a text that do not overlap, by their first token. Reads every label once where the partition
 * goes by labels, and nothing else. Throws a DatasetFault where the data cannot be shared out so, and a RangeError without the sampler `clients`.
 */
export async function clientsOf(spec: Pick<RunSpec, "sampler" | "seed" | "model">, reader: DatasetReader): Promise<Partition> {
  const { sampler, seed, model } = spec;
  if (sampler.kind !== "clients") throw new RangeError(`the sampler ${sampler.kind} has no clients`);
  const { clients, partition } = sampler;
  if (partition.kind === "role") {
    if (!readsText(model) || reader.roles === null)
      throw new DatasetFault("The data set does not say which part of its text is whose: no client can be made of a role.");
    return byRole(reader.roles, clients, model.context);
  }
  if (!readsText(model)) return partitionOf(partition, { seed, clients, samples: reader.samples, labels: await reader.labels() });
  const { context } = model;
  // Each window needs the token after its last.
  const windows = Math.max(0, Math.floor((reader.samples - 1) / context));
  const shared = partitionOf(partition, { seed, clients, samples: windows, labels: null });
  return { ...shared, sample: (client, index) => context * shared.sample(client, index) };
}
