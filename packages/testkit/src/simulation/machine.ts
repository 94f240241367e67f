// A machine with a coordinator, and who watches it; and how a run comes from one to another: archived as it runs, proved by the archive
// alone, and restored where nothing was. Knows no storm.
import { createHash } from "node:crypto";
import { type MakeHash, NotWhole, openArchive, restoreArchive, storageSource, verifyArchive, writeArchive } from "@weft/audit";
import { StorageFault } from "@weft/storage";
import { type Host, hashOf } from "./host.ts";
import { hold } from "./invariants.ts";
import { isStubSigned } from "./stub-identity.ts";
import type { Witness } from "./witness.ts";

export interface Machine {
  readonly host: Host;
  readonly witness: Witness;
}

const makeHash: MakeHash = () => {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
};

/** Null where storage did not give what was asked of it just then. Throws a Violation where the archive is not whole. */
export async function archiveOf({ host }: Machine, run: string): Promise<Uint8Array | null> {
  const { storage } = host;
  if (storage === null) return null;
  const spooled: Uint8Array[] = [];
  const archive: Uint8Array[] = [];
  try {
    await writeArchive({
      source: storageSource(storage, run),
      withData: false,
      spool: {
        append: async (bytes) => spooled.push(bytes.slice()),
        read: async (start, end) => Buffer.concat(spooled).subarray(start, end),
      },
      append: async (bytes) => archive.push(bytes.slice()),
      makeHash,
    });
  } catch (error) {
    if (error instanceof StorageFault) return null;
    hold("archive-is-whole", !(error instanceof NotWhole), () => `${run} cannot be archived: ${(error as Error).message}`);
    throw error;
  }
  return Buffer.concat(archive);
}

/** Throws a Violation where the archive does not prove itself. */
export async function moveIn(host: Host, bytes: Uint8Array): Promise<void> {
  const file = { sizeBytes: bytes.length, read: (start: number, end: number) => Promise.resolve(bytes.slice(start, end)) };
  const archive = await openArchive(file, makeHash);
  hold("archive-is-whole", archive.ok, () => (archive.ok ? "" : archive.message));
  const proved = await verifyArchive(archive.value, { hash: hashOf, verify: isStubSigned });
  hold("archive-is-whole", proved.ok, () => proved.findings.map(({ detail }) => detail).join(" "));
  await host.fill((storage) => restoreArchive(archive.value, storage));
}
