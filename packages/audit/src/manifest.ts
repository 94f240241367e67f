// A data set's manifest as a run names it: a blob of canonical JSON.
import { DatasetManifest } from "@weft/protocol";

/** Null for bytes that are none. */
export function manifestOf(bytes: Uint8Array): DatasetManifest | null {
  try {
    const parsed = DatasetManifest.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
