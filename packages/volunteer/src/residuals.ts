// What biased codecs could not say yet, kept for each run: a contribution's share of it is decided when the coordinator has admitted or refused
// it, and until then no other of that run is encoded. Kept across visits by an injected store. Knows no connection, no codec and no device: what
// it holds is the truth, wherever updates are encoded.
import { allFinite, decodeResidual, encodeResidual } from "@weft/tensors";

/** Small numbers of large values by run. Nothing may fail: what cannot be kept is forgotten, which costs a little accuracy and no more. */
export interface ResidualStore {
  get(run: string): Promise<Uint8Array | null>;
  set(run: string, bytes: Uint8Array): Promise<void>;
  delete(run: string): Promise<void>;
}

/** What became of a contribution. `unknown`: it may have been admitted. */
export type Verdict = "admitted" | "refused" | "unknown";

/** A run's residual in the hands of one contribution. */
export interface Taken {
  /** Not to be changed. */
  readonly residual: Float32Array;
  /** Once, or nobody else of the run gets it. `rest`: what the contribution left unsaid; null where nobody knows. */
  settle(verdict: Verdict, rest: Promise<Float32Array | null>): Promise<void>;
}

export class Residuals {
  readonly #store: ResidualStore | null;
  /** Of one run at a time: a residual is as large as the model. */
  #kept: { readonly run: string; readonly residual: Float32Array } | null = null;
  /** By run: resolves when nobody has its residual, nor is to get it. */
  readonly #free = new Map<string, Promise<void>>();

  constructor(store: ResidualStore | null) {
    this.#store = store;
  }

  /** The residual of `run`, of `size` values, when the contribution before is settled. */
  async take(run: string, size: number): Promise<Taken> {
    let release: () => void = () => undefined;
    const before = this.#free.get(run) ?? Promise.resolve();
    const settled = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#free.set(
      run,
      before.then(() => settled),
    );
    await before;
    const residual = await this.#residualOf(run, size);
    // What is on its way is neither said nor unsaid: a visit that ends now begins the next with nothing.
    await this.#store?.delete(run);
    return {
      residual,
      settle: async (verdict, rest) => {
        try {
          this.#keep(run, await residualAfter(verdict, residual, rest));
        } catch {
          // Memory may be short of one more copy: then it is forgotten, and the next lease of the run does not wait for it.
          this.#kept = null;
        } finally {
          release();
        }
      },
    };
  }

  #keep(run: string, residual: Float32Array | null): void {
    if (residual !== null) {
      this.#kept = { run, residual };
      void this.#store?.set(run, encodeResidual(residual));
    } else if (this.#kept?.run === run) this.#kept = null;
  }

  async #residualOf(run: string, size: number): Promise<Float32Array> {
    const residual = this.#kept?.run === run ? this.#kept.residual : decodeResidual((await this.#store?.get(run)) ?? new Uint8Array());
    return residual?.length === size ? residual : new Float32Array(size);
  }
}

/** Null: nobody knows. */
async function residualAfter(verdict: Verdict, before: Float32Array, rest: Promise<Float32Array | null>): Promise<Float32Array | null> {
  switch (verdict) {
    case "admitted": {
      const after = await rest;
      // A device may give anything.
      return after?.length === before.length && allFinite(after) ? after : null;
    }
    case "refused":
      return before;
    case "unknown":
      return null;
    default:
      throw verdict satisfies never;
  }
}

export function memoryResiduals(): ResidualStore {
  const values = new Map<string, Uint8Array>();
  return {
    get: (run) => Promise.resolve(values.get(run) ?? null),
    set: async (run, bytes) => void values.set(run, bytes),
    delete: async (run) => void values.delete(run),
  };
}
