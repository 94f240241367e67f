// What the two ends of a remote storage say to each other. Plain data that structured clone carries; knows no port and no storage.
import type { BlobRef, LedgerRecord } from "@weft/protocol";
import { type Durability, type Room, StorageFault } from "./interfaces.ts";

/** The part of a MessagePort that is used; browsers' and Node's ports both have it. */
export interface MessagePortLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message" | "close", listener: (event: { readonly data?: unknown }) => void): void;
  start?(): void;
  close(): void;
}

/** Records of the first page of a read: whoever wants one record has not much more read for it. Each next page is four times as long. */
export const FIRST_PAGE_RECORDS = 16;
/** Records of one page of a long read: few enough that a page is small beside a contribution, many enough that pages do not count. */
export const PAGE_RECORDS = 256;
/** Bytes of puts that one end sends before it waits for answers. */
export const MAX_BYTES_IN_FLIGHT = 64 * 1024 ** 2;

export type Call =
  | { readonly op: "runs" }
  | { readonly op: "append"; readonly run: string; readonly records: readonly LedgerRecord[]; readonly durability: Durability }
  | { readonly op: "read-open"; readonly run: string; readonly fromSeq: number }
  | { readonly op: "read-next"; readonly reader: number }
  | { readonly op: "read-close"; readonly reader: number }
  | { readonly op: "blob-put"; readonly bytes: Uint8Array }
  | { readonly op: "blob-get"; readonly sha256: string }
  | { readonly op: "blob-range"; readonly sha256: string; readonly start: number; readonly end: number }
  | { readonly op: "blob-size"; readonly sha256: string }
  | { readonly op: "blob-delete"; readonly sha256: string }
  | { readonly op: "contribution-put"; readonly run: string; readonly sha256: string; readonly bytes: Uint8Array }
  | { readonly op: "contribution-adopt"; readonly run: string; readonly sha256: string; readonly path: string; readonly sizeBytes: number }
  | { readonly op: "contribution-get"; readonly run: string; readonly sha256: string; readonly room: Room }
  | { readonly op: "contribution-drop"; readonly run: string; readonly sha256s: readonly string[] }
  | { readonly op: "close" };

export interface Page {
  readonly records: readonly LedgerRecord[];
  readonly done: boolean;
}
/** What each call is answered with. */
export interface Answers {
  runs: readonly string[];
  append: null;
  "read-open": number;
  "read-next": Page;
  "read-close": null;
  "blob-put": BlobRef;
  "blob-get": Uint8Array | null;
  "blob-range": Uint8Array | null;
  "blob-size": number | null;
  "blob-delete": null;
  "contribution-put": null;
  "contribution-adopt": null;
  "contribution-get": Uint8Array | null;
  "contribution-drop": null;
  close: null;
}

export interface Failure {
  /** Null for an error that is no StorageFault: a programmer's. */
  readonly code: StorageFault["code"] | null;
  readonly message: string;
}
export type ToServer = { readonly kind: "call"; readonly id: number; readonly call: Call };
export type ToClient =
  | { readonly kind: "ready"; readonly recovered: readonly string[] }
  | { readonly kind: "not-opened"; readonly failure: Failure }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly failure: Failure };

export const toFailure = (error: unknown): Failure =>
  error instanceof StorageFault
    ? { code: error.code, message: error.message }
    : { code: null, message: error instanceof Error ? error.message : String(error) };
export const fromFailure = ({ code, message }: Failure): Error => (code === null ? new Error(message) : new StorageFault(code, message));

export const isOfOneThread = ({ buffer }: Uint8Array): boolean =>
  typeof SharedArrayBuffer === "undefined" || !(buffer instanceof SharedArrayBuffer);
/** The bytes as something that may be transferred: as they are where they fill their buffer, else a copy. */
export const transferable = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
