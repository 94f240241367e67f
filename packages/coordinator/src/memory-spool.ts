// Unfinished uploads in memory: for tests and for coordinators whose runs are small. The cap is held by uploads.ts.
import type { SpooledUploadLeft, UploadSpool } from "./upload-spool.ts";

interface Spooled {
  readonly about: string;
  parts: Uint8Array[];
}

export class MemorySpool implements UploadSpool {
  readonly #spooled = new Map<string, Spooled>();

  left(): Promise<readonly SpooledUploadLeft[]> {
    return Promise.resolve(
      [...this.#spooled]
        .map(([name, { about, parts }]) => ({ name, about, sizeBytes: parts.reduce((sum, part) => sum + part.length, 0) }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  }

  begin(name: string, about: string): Promise<void> {
    this.#spooled.set(name, { about, parts: [] });
    return Promise.resolve();
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    this.#spooled.get(name)?.parts.push(bytes.slice());
    return Promise.resolve();
  }

  async cut(name: string, sizeBytes: number): Promise<void> {
    const spooled = this.#spooled.get(name);
    if (spooled !== undefined) spooled.parts = [(await this.read(name))?.slice(0, sizeBytes) ?? new Uint8Array(0)];
  }

  end(): Promise<void> {
    return Promise.resolve();
  }

  read(name: string, start = 0, end = Number.MAX_SAFE_INTEGER): Promise<Uint8Array | null> {
    const parts = this.#spooled.get(name)?.parts;
    if (parts === undefined) return Promise.resolve(null);
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return Promise.resolve(whole.subarray(start, end));
  }

  drop(name: string): Promise<void> {
    this.#spooled.delete(name);
    return Promise.resolve();
  }

  /** Names that still hold bytes; a test asks whether anything was left behind. */
  names(): readonly string[] {
    return [...this.#spooled.keys()];
  }
}
