// A coordinator's process that can be killed at a named point: the real one, with a disk and answers in between. Told what to do by its
// parent's first message; says when it serves, and why not. Ends with its parent.
import type { RunSpec } from "@weft/protocol";
import { nodeDisk } from "@weft/storage/node";
import { startCoordinator } from "../start.ts";
import { type FaultPlan, faultyAnswers, faultyDisk, setFaultPlan } from "./fault-points.ts";

export interface KillableOrder {
  readonly folder: string;
  readonly port: number;
  readonly plan: FaultPlan;
  /** Made where there is none. */
  readonly run: RunSpec;
}
export type KillableNews =
  | { readonly kind: "serving"; readonly port: number; readonly adminUrl: string; readonly recovered: readonly string[] }
  | { readonly kind: "failed"; readonly message: string };

const tell = (news: KillableNews): void => void process.send?.(news);

async function serve({ folder, port, plan, run }: KillableOrder): Promise<void> {
  setFaultPlan(plan);
  const ended = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const started = await startCoordinator(
    { port, dataFolder: folder, demonstrations: false, logLevel: "error" },
    {
      disk: faultyDisk(nodeDisk()),
      storageWorker: new URL(`./faulty-storage-worker${ended}`, import.meta.url),
      around: faultyAnswers,
    },
  );
  process.once("SIGTERM", () => void started.stop().then(() => process.exit(0)));
  if (started.coordinator.runs().length === 0) {
    const made = await started.coordinator.createRun(run, "test");
    if (!made.ok) throw new Error(made.message);
  }
  tell({ kind: "serving", port: started.port, adminUrl: started.adminUrl, recovered: started.recovered });
}

process.once("disconnect", () => process.exit(1));
process.once("message", (order) => {
  serve(order as KillableOrder).catch((error: unknown) => {
    tell({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
    process.exit(1);
  });
});
