// A data folder that a command writes to: made where there is none, held alone, its coordinator's key at hand. Knows no runs.
import type { CoordinatorKey } from "@weft/coordinator";
import { openDataFolder } from "@weft/coordinator-app/folder";
import { coordinatorKeyOf } from "@weft/coordinator-app/key";
import { openFileStorage, type Storage, StorageFault } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";

/** What was dropped at opening is said on standard error. */
export async function openFolder(folder: string): Promise<Storage> {
  const storage = await openFileStorage(nodeDisk(), folder).catch((error: unknown) => {
    if (error instanceof StorageFault && /is in use/.test(error.message))
      throw new Error(
        `${error.message.replace(/ Stop it first\.$/, "")} Stop the coordinator (Ctrl-C), do this again, and start it again.`,
      );
    throw error;
  });
  for (const line of storage.recovered) process.stderr.write(`${line}\n`);
  return storage;
}

/** The key with which the folder's coordinator signs; made as it would make it itself. */
export async function keyOf(folder: string): Promise<CoordinatorKey> {
  const data = await openDataFolder(folder, nodeDisk());
  try {
    return coordinatorKeyOf(await data.secret("coordinator.key"));
  } finally {
    data.release();
  }
}
