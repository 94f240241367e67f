// What biased codecs could not say yet, kept for each run: a contribution's share of it is decided when the coordinator has admitted or refused
// it, and until then no other of that run is encoded. Kept across visits by an injected store. Knows no connection.
import {
  type Codec,
  type CodecRefusal,
  type CodecStream,
  decodeResidual,
  ErrorFeedback,
  encodeResidual,
  type Proposal,
} from "@weft/tensors";

/** Small numbers of large values by run. Nothing may fail: what cannot be kept is forgotten, which costs a little accuracy and no more. */
export interface ResidualStore {
  get(run: string): Promise<Uint8Array | null>;
  set(run: string, bytes: Uint8Array): Promise<void>;
  delete(run: string): Promise<void>;
}

/** What became of a contribution. `unknown`: it may have been admitted. */
export type Verdict = "admitted" | "refused" | "unknown";

export interface Encoding {
  readonly ok: true;
  readonly bytes: Uint8Array;
  /** Once. */
  settle(verdict: Verdict): void;
}

interface Kept {
  readonly run: string;
  readonly codec: Codec;
  readonly size: number;
  feedback: ErrorFeedback;
  /** Resolves when the contribution in hand is settled. */
  settled: Promise<void>;
}

export class Residuals {
  readonly #store: ResidualStore | null;
  /** Of one run at a time: a residual is as large as the model. */
  #kept: Kept | null = null;

  constructor(store: ResidualStore | null) {
    this.#store = store;
  }

  /** Encodes what is kept and what is new, when the contribution before it is settled. `wanted` is asked then: null where it no longer is. */
  async encode(
    run: string,
    codec: Codec,
    beta: number,
    update: Float32Array,
    stream: CodecStream,
    wanted: () => boolean,
  ): Promise<Encoding | CodecRefusal | null> {
    const kept = await this.#of(run, codec, beta, update.length);
    await kept.settled;
    if (!wanted()) return null;
    // What is on its way is neither said nor unsaid: a visit that ends now begins the next with nothing.
    await this.#store?.delete(run);
    const proposal = kept.feedback.propose(update, stream);
    if (!proposal.ok) return proposal;
    let release: () => void = () => undefined;
    kept.settled = new Promise((resolve) => {
      release = resolve;
    });
    return {
      ok: true,
      bytes: proposal.bytes,
      settle: (verdict) => {
        this.#settle(kept, proposal, beta, verdict);
        release();
      },
    };
  }

  #settle(kept: Kept, proposal: Proposal, beta: number, verdict: Verdict): void {
    switch (verdict) {
      case "admitted":
        proposal.commit();
        break;
      case "refused":
        break;
      case "unknown":
        kept.feedback = new ErrorFeedback(kept.codec, beta, new Float32Array(kept.size));
        return;
      default:
        verdict satisfies never;
    }
    void this.#store?.set(kept.run, encodeResidual(kept.feedback.saved()));
  }

  async #of(run: string, codec: Codec, beta: number, size: number): Promise<Kept> {
    const kept = this.#kept;
    if (kept?.run === run && kept.codec === codec && kept.size === size) return kept;
    if (kept?.run === run) await kept.settled;
    const before = kept?.run === run ? kept.feedback.saved() : decodeResidual((await this.#store?.get(run)) ?? new Uint8Array());
    const residual = before?.length === size ? before : new Float32Array(size);
    const made: Kept = { run, codec, size, feedback: new ErrorFeedback(codec, beta, residual), settled: Promise.resolve() };
    this.#kept = made;
    return made;
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
