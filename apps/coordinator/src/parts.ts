// What the coordinator's process is put together from where a test must be able to stand in between: the disk, and what sockets speak to.
import type { CoordinatorApi } from "@weft/coordinator";
import type { Disk } from "@weft/storage";
import { nodeDisk } from "@weft/storage/node";
import { entryOf } from "./threads.ts";

export interface Parts {
  /** Of this thread: secrets, names of data sets, unfinished uploads. The storage has a thread and a disk of its own. */
  readonly disk: Disk;
  /** Entry of the thread beside the disk. */
  readonly storageWorker: URL;
  /** What sockets and HTTP speak to. */
  around(coordinator: CoordinatorApi): CoordinatorApi;
}

export const realParts = (): Parts => ({
  disk: nodeDisk(),
  storageWorker: entryOf("storage-worker"),
  around: (coordinator) => coordinator,
});
