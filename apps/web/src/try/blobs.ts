// Blobs of the coordinator by their hash, which is checked. Knows nothing of what they hold.
import type { BlobRef } from "@weft/protocol";

const hex = (bytes: ArrayBuffer): string => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Throws with a sentence for people where the blob is gone, short, or not what its name says. */
export async function fetchBlob({ sha256, sizeBytes }: BlobRef): Promise<Uint8Array<ArrayBuffer>> {
  const reply = await fetch(`/blobs/${sha256}`);
  if (!reply.ok)
    throw new Error(
      reply.status === 404 ? "These weights have just been replaced; try again." : `The coordinator answered ${reply.status}.`,
    );
  const bytes = new Uint8Array(await reply.arrayBuffer());
  if (bytes.length !== sizeBytes) throw new Error(`Got ${bytes.length} bytes where ${sizeBytes} were promised.`);
  if (globalThis.crypto?.subtle === undefined)
    throw new Error("The browser checks hashes only on HTTPS or localhost; open the page there to try the model.");
  if (hex(await crypto.subtle.digest("SHA-256", bytes)) !== sha256)
    throw new Error("What came is not what its hash says; it was thrown away.");
  return bytes;
}
