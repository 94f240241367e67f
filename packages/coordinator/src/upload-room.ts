// How many bytes unfinished uploads may hold together, and who makes room for whom. Knows no bytes and no senders.
import { type Upload, type UploadTable, withWindow } from "./upload.ts";
import type { UploadPlaces } from "./upload-places.ts";

export class UploadRoom {
  readonly #capBytes: number;
  readonly #table: UploadTable;
  readonly #places: UploadPlaces;
  readonly #crowdOut: (upload: Upload) => void;
  #reserved = 0;

  constructor(capBytes: number, table: UploadTable, places: UploadPlaces, crowdOut: (upload: Upload) => void) {
    this.#capBytes = capBytes;
    this.#table = table;
    this.#places = places;
    this.#crowdOut = crowdOut;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }
  get capBytes(): number {
    return this.#capBytes;
  }

  /** Counts what an upload of an earlier process holds; false where there is no room for it. */
  hold({ reserved }: Upload): boolean {
    if (this.#reserved + reserved > this.#capBytes) return false;
    this.#reserved += reserved;
    return true;
  }

  /** Reserves what the next window brings; where the cap is reached, those make room that have the least, at rest before sending ones. */
  reserveWindow(upload: Upload): boolean {
    const wanted = withWindow(upload);
    const more = wanted - upload.reserved;
    while (this.#reserved + more > this.#capBytes) {
      let least: Upload | null = null;
      for (const other of this.#table.all()) {
        if (other === upload || other.whole) continue;
        if (least === null || this.#rank(other) < this.#rank(least)) least = other;
      }
      if (least === null || (this.#places.holds(least.key) && least.received >= upload.received)) return false;
      this.#crowdOut(least);
    }
    this.#reserved += more;
    upload.reserved = wanted;
    return true;
  }
  #rank({ key, received }: Upload): number {
    return (this.#places.holds(key) ? Number.MAX_SAFE_INTEGER / 2 : 0) + received;
  }

  /** Only what has come counts from now on. */
  keepReceived(upload: Upload): void {
    this.#reserved -= upload.reserved - upload.received;
    upload.reserved = upload.received;
  }
  release(upload: Upload): void {
    this.#reserved -= upload.reserved;
    upload.reserved = 0;
  }
}
