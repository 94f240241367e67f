// The roles of a text as clients: each has the windows that lie in its own words. Knows neither shards nor models.
import type { Role } from "@weft/protocol";
import { DatasetFault } from "../fault.ts";
import type { Partition } from "./partition.ts";

/**
 * Client i is the i-th role whose words fill a window of `context` characters and the one after it; a sample is a window's first character, and
 * a role's windows neither overlap nor reach into another's words. Throws a DatasetFault where there are not exactly `clients` such roles.
 */
export function byRole(roles: readonly Role[], clients: number, context: number): Partition {
  const owners: { readonly begin: number; readonly windows: number }[] = [];
  let begin = 0;
  for (const { characters } of roles) {
    const windows = Math.floor((characters - 1) / context);
    if (windows > 0) owners.push({ begin, windows });
    begin += characters;
  }
  if (owners.length !== clients)
    throw new DatasetFault(
      `${owners.length} of the data set's ${roles.length} roles have more than ${context} characters: sampler.clients must be ${owners.length}, not ${clients}.`,
    );
  const ownerOf = (client: number) => {
    const owner = owners[client];
    if (owner === undefined) throw new RangeError(`there is no client ${client}`);
    return owner;
  };
  return {
    clients,
    size: (client) => ownerOf(client).windows,
    sample: (client, index) => {
      const owner = ownerOf(client);
      if (!(index >= 0 && index < owner.windows)) throw new RangeError(`sample ${index} of client ${client}`);
      return owner.begin + index * context;
    },
  };
}
