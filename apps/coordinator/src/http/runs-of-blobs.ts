// Which run a blob that goes out belongs to, for the rates on the pages. A hint only: an unknown blob counts for no run.
import type { CoordinatorApi } from "@weft/coordinator";

/** Blobs remembered; older ones are forgotten first. */
const KEPT = 4096;

export interface RunsOfBlobs {
  runOf(sha256: string): string | null;
}

export function runsOfBlobs(coordinator: Pick<CoordinatorApi, "detail" | "runs" | "subscribe">): RunsOfBlobs {
  const known = new Map<string, string>();
  const changed = new Set(coordinator.runs().map(({ run }) => run));
  coordinator.subscribe((run) => changed.add(run));
  const learn = (): void => {
    for (const run of changed) {
      const detail = coordinator.detail(run);
      for (const blob of detail === null ? [] : [detail.weights, detail.delta, detail.specBlob, detail.datasetBlob]) {
        if (blob === null) continue;
        known.delete(blob.sha256);
        known.set(blob.sha256, run);
      }
    }
    changed.clear();
    for (const oldest of known.keys()) {
      if (known.size <= KEPT) break;
      known.delete(oldest);
    }
  };
  return {
    runOf(sha256) {
      const found = known.get(sha256);
      if (found !== undefined || changed.size === 0) return found ?? null;
      learn();
      return known.get(sha256) ?? null;
    },
  };
}
