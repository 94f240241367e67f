// A new run out of a checkpoint file: the same specification, going on bit for bit from the file's version, its parent named. Knows no terminal.
import { readFile } from "node:fs/promises";
import { checkpointProvenance, checkpointSpec, checkpointTraining, readCheckpoint } from "@weft/checkpoints";
import { firstEvent, runIdOf } from "@weft/coordinator";
import { DATASETS_FOLDER, datasetCatalog } from "@weft/datasets";
import { appendRecords, emptyHead } from "@weft/ledger";
import { layoutFor } from "@weft/models";
import { type DatasetManifest, DisplayName, type Result, type RunOrigin } from "@weft/protocol";
import { folderFiles, type Storage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { f32ToBytes } from "@weft/tensors";
import { readEmbedded } from "../datasets/open-catalog.ts";
import { keyOf, openFolder } from "./own-folder.ts";

export interface ResumedCheckpoint {
  readonly run: string;
  readonly origin: RunOrigin;
  readonly versions: number;
  /** Who signed the checkpoint: its reader compares it with the key that the run's coordinator tells. */
  readonly coordinator: string;
}

const CODE = "weft-0.1.0";

/** Throws a sentence; then the folder holds no more than it did. */
export async function resumeCheckpoint(file: string, folder: string, name: string | undefined): Promise<ResumedCheckpoint> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new Error(`${file} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  });
  const of = <T>(result: Result<T>): T => {
    if (result.ok) return result.value;
    throw new Error(`${file}: ${result.message}.`);
  };
  const checkpoint = of(readCheckpoint(new Uint8Array(bytes)));
  const parent = of(checkpointSpec(checkpoint));
  const { coordinator, created, made, manifest, weights } = of(checkpointProvenance(checkpoint, layoutFor(parent.model)));
  const { version, position, steps, optimizer } = of(checkpointTraining(checkpoint));
  if (name !== undefined && !DisplayName.safeParse(name).success) throw new Error("--name must be 1 to 32 visible characters.");
  const spec = name === undefined ? parent : { ...parent, name };
  if (steps >= spec.training.versions)
    throw new Error(`${file} is the last version that its run asked for; there is nothing to go on with.`);
  const storage = await openFolder(folder);
  try {
    await needShards(storage, folder, manifest);
    const origin: RunOrigin = {
      change: "resume",
      run: created.event.run,
      version,
      seq: made.seq,
      head: made.hash,
      position,
      steps,
      optimizer: await storage.blobs.put(optimizer),
    };
    const first = { weights: await storage.blobs.put(f32ToBytes(weights)), origin };
    const taken = new Set(await storage.ledger.runs());
    const run = runIdOf(spec.name, (id) => taken.has(id));
    const key = await keyOf(folder);
    const prepared = { spec, manifest, dataset: created.event.dataset, parameters: created.event.parameters, first };
    const compute = { initialWeights: () => Promise.reject(new Error("a resumed run has its weights")) };
    const event = await firstEvent(run, prepared, { storage, compute, key, code: CODE });
    const records = appendRecords(emptyHead(run), [event], Date.now(), (domain, value) => key.sign(domain, value));
    await storage.ledger.append(run, records, "durable");
    return { run, origin, versions: spec.training.versions, coordinator };
  } finally {
    await storage.close();
  }
}

/** The data itself is in no checkpoint. What comes with Weft is added as a coordinator adds it at its first start. */
async function needShards({ blobs }: Storage, folder: string, manifest: DatasetManifest): Promise<void> {
  const missing = async (): Promise<boolean> => {
    for (const { sha256 } of [...manifest.train, ...manifest.heldOut]) if ((await blobs.size(sha256)) === null) return true;
    return false;
  };
  if (!(await missing())) return;
  await datasetCatalog(folderFiles(nodeDisk(), `${folder}/${DATASETS_FOLDER}`), blobs).addEmbedded(readEmbedded);
  if (await missing())
    throw new Error(
      `The data set "${manifest.id}" (${manifest.name}) is not in ${folder}. Add it first with weft datasets; a checkpoint names its data, but does not hold it.`,
    );
}
