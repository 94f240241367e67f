// Of visits to clients: what one is made of. Knows no partition: how many samples each client has stands in the run's first record.

import { drawSample } from "./sampler.ts";
import type { ReadonlyRun } from "./state.ts";

/** Samples of a visit at `position`: all of its client's, so many times. Throws where the run's sampler knows no clients. */
export function visitSamples({ spec, clients }: Pick<ReadonlyRun, "spec" | "clients">, position: number): number {
  const { sampler, seed } = spec;
  if (sampler.kind !== "clients" || clients === null) throw new Error("this run's samples are not dealt out to clients");
  const client = drawSample(sampler, seed, position, clients.length);
  const own = clients[client];
  if (own === undefined) throw new Error(`there is no client ${client}`);
  return own * sampler.epochs;
}
