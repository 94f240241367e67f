// A volunteer's key in Node: 32 bytes of seed as hexadecimal digits in a file that only its owner may read, or a key for this process alone.
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createIdentity } from "@weft/ledger";
import type { VolunteerIdentity } from "@weft/volunteer";

export function identityOf(seed: Uint8Array): VolunteerIdentity {
  const { publicKey, sign } = createIdentity(seed);
  return { volunteer: publicKey, sign: async (domain, value) => sign(domain, value) };
}

/** Null: a fresh key that is forgotten with the process. A file that does not exist is made; one that holds no key is an Error. */
export async function identityFrom(path: string | null): Promise<VolunteerIdentity> {
  if (path === null) return identityOf(randomBytes(32));
  const known = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw new Error(`The key file ${path} cannot be read: ${error.message}`);
  });
  if (known === null) {
    const seed = randomBytes(32);
    await writeFile(path, `${seed.toString("hex")}\n`, { mode: 0o600, flag: "wx" }).catch((error: Error) => {
      throw new Error(`The key file ${path} cannot be written: ${error.message}`);
    });
    return identityOf(seed);
  }
  const hex = known.trim();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new Error(`${path} holds no volunteer's key (64 hexadecimal digits).`);
  return identityOf(Buffer.from(hex, "hex"));
}
