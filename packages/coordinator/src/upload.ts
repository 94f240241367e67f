// One contribution on its way in, and the table of all of them. Knows neither their bytes nor what becomes of them.
import {
  CHUNK_BYTES,
  CHUNK_WINDOW,
  type ChunkHeader,
  type ContributionHeader,
  ContributionOpen,
  type Refusal,
  type Signature,
} from "@weft/protocol";
import { parseMessage } from "./parse.ts";

export interface Upload {
  /** In the spool; never used again. */
  readonly name: string;
  readonly key: string;
  /** As it was signed; checked again each time the upload is opened. */
  header: ContributionHeader;
  signature: Signature;
  readonly chunks: number;
  address: string;
  nextChunk: number;
  received: number;
  /**
   * Begun by an earlier process: until its sender has opened it again no chunk is taken, and its bytes may have been spoiled by a power cut.
   */
  readonly origin: "here" | "earlier";
  opened: boolean;
  /** All bytes are here and were not yet decided on; the last chunk sent again asks for the decision. */
  whole: boolean;
  /** It is being decided on just now. */
  deciding: boolean;
  /** False once its round or its run is over. */
  wanted: boolean;
  /** Chunks of one upload are handled one after another. */
  turn: Promise<unknown>;
  /** When bytes last came. */
  touchedMs: number;
  /** Bytes held against the cap: what was received, and a window more while it may send. */
  reserved: number;
  /** Why it was given up; null while it was not. */
  dropped: Refusal | null;
}

const WINDOW_BYTES = CHUNK_WINDOW * CHUNK_BYTES;

export const keyOf = ({ run, lease, attempt }: Pick<ChunkHeader, "run" | "lease" | "attempt">): string => `${run}.${lease}.${attempt}`;
export const chunksOf = ({ sizeBytes }: ContributionHeader): number => Math.ceil(sizeBytes / CHUNK_BYTES);
/** Bytes of chunk `index`. */
export const chunkBytes = ({ header, chunks }: Upload, index: number): number =>
  index === chunks - 1 ? header.sizeBytes - index * CHUNK_BYTES : CHUNK_BYTES;
/** What is to be reserved while it may send. */
export const withWindow = ({ header, received }: Upload): number => Math.min(header.sizeBytes, received + WINDOW_BYTES);

export const newUpload = (name: string, { header, signature }: ContributionOpen, address: string, nowMs: number): Upload => ({
  name,
  key: keyOf(header),
  header,
  signature,
  chunks: chunksOf(header),
  address,
  nextChunk: 0,
  received: 0,
  origin: "here",
  opened: true,
  whole: false,
  deciding: false,
  wanted: true,
  turn: Promise.resolve(),
  touchedMs: nowMs,
  reserved: 0,
  dropped: null,
});

/** What stands beside an upload's bytes in the spool. */
export const aboutOf = ({ header, signature }: Upload): string => JSON.stringify({ header, signature } satisfies ContributionOpen);

const openOf = (about: string): ContributionOpen | null => {
  try {
    const parsed = parseMessage(ContributionOpen, JSON.parse(about));
    return parsed.ok ? parsed.value : null;
  } catch {
    return null;
  }
};

/**
 * An upload of an earlier process, of which `sizeBytes` are there. It has whole chunks only, and never the last one, whose answer is the verdict.
 * Null where nothing of it is of use.
 */
export function earlierUpload(name: string, about: string, sizeBytes: number, nowMs: number): Upload | null {
  const open = openOf(about);
  if (open === null) return null;
  const nextChunk = Math.min(Math.floor(sizeBytes / CHUNK_BYTES), chunksOf(open.header) - 1);
  const received = nextChunk * CHUNK_BYTES;
  const upload = newUpload(name, open, "", nowMs);
  return nextChunk === 0 ? null : { ...upload, nextChunk, received, reserved: received, origin: "earlier", opened: false };
}

/** Those not decided on, by run and then by key. */
export class UploadTable {
  readonly #runs = new Map<string, Map<string, Upload>>();

  add(upload: Upload): void {
    const { run } = upload.header;
    const ofRun = this.#runs.get(run) ?? new Map<string, Upload>();
    this.#runs.set(run, ofRun.set(upload.key, upload));
  }
  remove(upload: Upload): void {
    const { run } = upload.header;
    const ofRun = this.#runs.get(run);
    if (ofRun?.get(upload.key) === upload) ofRun.delete(upload.key);
    if (ofRun?.size === 0) this.#runs.delete(run);
  }
  find(key: string, run: string): Upload | undefined {
    return this.#runs.get(run)?.get(key);
  }
  ofRun(run: string): Upload[] {
    return [...(this.#runs.get(run)?.values() ?? [])];
  }
  *all(): Generator<Upload> {
    for (const ofRun of this.#runs.values()) yield* ofRun.values();
  }
}
