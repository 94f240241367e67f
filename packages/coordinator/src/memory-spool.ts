// Unfinished uploads in memory: for tests and for coordinators whose runs are small. The cap is held by uploads.ts.
import type { UploadSpool } from "./api.ts";

export class MemorySpool implements UploadSpool {
  readonly #parts = new Map<string, Uint8Array[]>();

  append(name: string, bytes: Uint8Array): Promise<void> {
    const parts = this.#parts.get(name) ?? [];
    parts.push(bytes.slice());
    this.#parts.set(name, parts);
    return Promise.resolve();
  }

  read(name: string): Promise<Uint8Array> {
    const parts = this.#parts.get(name) ?? [];
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return Promise.resolve(whole);
  }

  drop(name: string): Promise<void> {
    this.#parts.delete(name);
    return Promise.resolve();
  }

  /** Names that still hold bytes; a test asks whether anything was left behind. */
  names(): readonly string[] {
    return [...this.#parts.keys()];
  }
}
