// Puts what an archive holds back into a storage, where a coordinator goes on from it. Believes the archive: verifyArchive comes first.
import { LedgerRecord } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import type { OpenedArchive } from "./read-archive.ts";

/** Where each kind goes; the ledger comes last, since with it the run is there. */
export type RestoreInto = Pick<Storage, "blobs" | "contributions" | "ledger">;

/** Records that are written with one sync. */
const BATCH = 1_000;

/** `onEntry` hears how many entries are done. Rejects with a StorageFault, or where the archive cannot be read. */
export async function restoreArchive(
  { table, source }: OpenedArchive,
  { blobs, contributions, ledger }: RestoreInto,
  onEntry: (done: number) => void = () => undefined,
): Promise<void> {
  for (const [index, { name, sha256 }] of table.entries.entries()) {
    onEntry(index + 1);
    if (name.startsWith("blob-")) {
      const bytes = await source.blob(sha256);
      if (bytes !== null) await blobs.put(bytes);
    } else {
      const bytes = await source.contribution(sha256);
      if (bytes !== null) await contributions.put(table.run, sha256, bytes);
    }
  }
  const batch: LedgerRecord[] = [];
  const flush = (): Promise<void> => ledger.append(table.run, batch.splice(0), "durable");
  for await (const raw of source.records()) {
    batch.push(LedgerRecord.parse(raw));
    if (batch.length >= BATCH) await flush();
  }
  await flush();
}
