// Restores an archived run into a data folder: proved first, written beside, and there at once or not at all. Knows no terminal.
import { open, rename, rm, stat } from "node:fs/promises";
import { type OpenedArchive, restoreArchive, verifyArchive } from "@weft/audit";
import { DATASETS_FOLDER, datasetCatalog } from "@weft/datasets";
import { DatasetManifest, LedgerRecord, type RunPhase } from "@weft/protocol";
import { folderFiles, openFileStorage, type Storage } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { fast } from "./open-subjects.ts";
import { openFolder } from "./own-folder.ts";

export interface Imported {
  readonly run: string;
  readonly phase: RunPhase;
  readonly version: number;
  readonly records: number;
  readonly contributions: number;
  /** Id of a data set that was added with it. */
  readonly dataset: string | null;
}

const STAGING = "importing";

/** Throws a sentence where the archive is not proved, the run is there already, or its data is nowhere; then the folder is as it was. */
export async function importRun(file: string, archive: OpenedArchive, folder: string, say: (text: string) => void): Promise<Imported> {
  const { table, source } = archive;
  const { run } = table;
  const proved = await verifyArchive(archive, { ...fast(), onProgress: ({ phase }) => say(`${run}: checking (${phase})`) });
  const [first] = proved.findings;
  if (!proved.ok || proved.figures === null)
    throw new Error(`${file} is not what it should be, and nothing was imported. ${first?.detail ?? ""} \`weft verify\` names everything.`);
  const storage = await openFolder(folder);
  try {
    if ((await storage.ledger.runs()).includes(run))
      throw new Error(`There is a run "${run}" in ${folder} already. An imported run keeps its id, so import it into another folder.`);
    const { phase, manifest } = await lookInto(archive);
    await needShards(archive, storage, manifest);
    await restore(archive, storage, folder, say);
    const { newest, records, contributions } = proved.figures;
    return {
      run,
      phase,
      version: newest,
      records,
      contributions: contributions.kept,
      dataset: await addDataset(storage, folder, manifest),
    };
  } finally {
    await storage.close();
  }

  async function lookInto({ source: from }: OpenedArchive): Promise<{ readonly phase: RunPhase; readonly manifest: DatasetManifest }> {
    let [phase, dataset]: [RunPhase, string] = ["running", ""];
    for await (const raw of from.records()) {
      const { event } = LedgerRecord.parse(raw);
      if (event.type === "run-created") dataset = event.dataset.sha256;
      if (event.type === "run-paused") phase = "paused";
      if (event.type === "run-resumed") phase = "running";
      if (event.type === "run-stopped") phase = "stopped";
      if (event.type === "run-finished") phase = "finished";
      if (event.type === "run-rolled-back" && phase === "finished") phase = "paused";
    }
    const bytes = await source.blob(dataset);
    return { phase, manifest: DatasetManifest.parse(JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()))) };
  }
}

const shardsOf = ({ train, heldOut }: DatasetManifest) => [...train, ...heldOut];

async function needShards({ source, table }: OpenedArchive, { blobs }: Storage, manifest: DatasetManifest): Promise<void> {
  if (table.data === "included") return;
  for (const { sha256 } of shardsOf(manifest))
    if ((await source.blob(sha256)) === null && (await blobs.size(sha256)) === null)
      throw new Error(
        `The archive leaves the data out, and the data set "${manifest.id}" (${manifest.name}) is not in the folder. Add it first with weft datasets, or take an archive with its data.`,
      );
}

/** Blobs straight to their place, where they harm nobody; ledger and contributions beside it, and then into place by one rename each. */
async function restore(archive: OpenedArchive, storage: Storage, folder: string, say: (text: string) => void): Promise<void> {
  const { run, entries } = archive.table;
  const staging = `${folder}/${STAGING}`;
  await rm(staging, { recursive: true, force: true });
  const staged = await openFileStorage(nodeDisk(), staging);
  try {
    const into = { blobs: storage.blobs, contributions: staged.contributions, ledger: staged.ledger };
    await restoreArchive(archive, into, (done) => say(`${run}: restoring ${done} of ${entries.length}`));
  } finally {
    await staged.close();
  }
  // The ledger last: with it the run is there.
  for (const kind of ["contributions", "ledger"]) {
    const from = `${staging}/${kind}/${run}`;
    if ((await stat(from).catch(() => null)) === null) continue;
    await rm(`${folder}/${kind}/${run}`, { recursive: true, force: true });
    await rename(from, `${folder}/${kind}/${run}`);
    await syncFolder(`${folder}/${kind}`);
  }
  await rm(staging, { recursive: true, force: true });
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  await handle.sync().finally(() => handle.close());
}

/** So that new runs can use it too. Another set of that id stays as it is; the run has its own by hash. */
async function addDataset({ blobs }: Storage, folder: string, manifest: DatasetManifest): Promise<string | null> {
  const catalog = datasetCatalog(folderFiles(nodeDisk(), `${folder}/${DATASETS_FOLDER}`), blobs);
  if ((await catalog.manifest(manifest.id)) !== null) return null;
  const shards: Uint8Array[] = [];
  for (const { sha256 } of shardsOf(manifest)) {
    const bytes = await blobs.get(sha256);
    if (bytes === null) return null;
    shards.push(bytes);
  }
  await catalog.add({ manifest, shards });
  return manifest.id;
}
