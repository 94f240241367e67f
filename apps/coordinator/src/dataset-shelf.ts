// The data sets that exist here: embedded and imported ones, each with its manifest and shards as blobs. Knows no HTTP.
import type { DatasetLookup } from "@weft/coordinator";
import type { DatasetManifest } from "@weft/protocol";

export interface DatasetShelf extends DatasetLookup {
  list(): Promise<readonly DatasetManifest[]>;
}
