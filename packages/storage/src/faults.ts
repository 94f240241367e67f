// Turns what the disk reports into a StorageFault whose message is one clear sentence. Knows no format.
import { DiskError } from "./disk.ts";
import { StorageFault } from "./interfaces.ts";

export const toFault = (error: unknown, doing: string): StorageFault => {
  if (error instanceof StorageFault) return error;
  if (!(error instanceof DiskError)) throw error;
  switch (error.kind) {
    case "full":
      return new StorageFault("disk-full", `The disk is full: ${doing} failed (${error.message}). Free some space; nothing was lost.`);
    case "denied":
      return new StorageFault("unavailable", `${doing} is not possible (${error.message}).`);
    case "missing":
      return new StorageFault("damaged", `${doing} failed: a file has disappeared (${error.message}).`);
    case "exists":
    case "stopped":
    case "broken":
      return new StorageFault("unavailable", `${doing} failed (${error.message}).`);
    default:
      return error.kind satisfies never;
  }
};
