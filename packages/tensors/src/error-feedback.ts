// Error feedback: what a biased codec could not say in one update is kept and added to the next. A residual belongs to one run, one layout
// and one volunteer that stays; a contribution that is refused or expires leaves it as it was, and a resend sends the same bytes.
// e <- beta * e + x; send C(e); e <- e - decode(C(e)) [Seide et al. 2014; Karimireddy et al. 1901.09847; beta below 1: SparseLoCo 2508.15706].
import { type Codec, type CodecRefusal, type CodecStream, decode } from "./codec.ts";
import { allFinite } from "./reduce.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

export interface EncodedWithRest {
  readonly ok: true;
  readonly bytes: Uint8Array;
  /** What `bytes` do not say: the residual from then on, if they count. */
  readonly rest: Float32Array;
}

/** Encodes `beta` times what is kept, and what is new. Refuses as the codec does. `residual` stays as it is. */
export function encodeWithResidual(
  codec: Codec,
  beta: number,
  residual: Float32Array,
  update: Float32Array,
  stream: CodecStream,
): EncodedWithRest | CodecRefusal {
  if (update.length !== residual.length) throw new RangeError(`an update of ${update.length} values for a residual of ${residual.length}`);
  const wanted = new Float32Array(update.length);
  for (let at = 0; at < wanted.length; at++) wanted[at] = Math.fround(beta * (residual[at] as number)) + (update[at] as number);
  const encoded = codec.encode(wanted, stream);
  if (!encoded.ok) return encoded;
  const said = decode(codec, encoded.bytes, wanted.length);
  if (!said.ok) throw new Error(`${codec.name} does not decode what it encoded: ${said.detail}`);
  for (let at = 0; at < wanted.length; at++) wanted[at] = (wanted[at] as number) - (said.update[at] as number);
  return { ok: true, bytes: encoded.bytes, rest: wanted };
}

export interface Proposal {
  readonly ok: true;
  readonly bytes: Uint8Array;
  /** The contribution was admitted: what it did not say is kept. At most once; a proposal made since then stands on the former residual. */
  commit(): void;
}

export class ErrorFeedback {
  readonly #codec: Codec;
  readonly #beta: number;
  #residual: Float32Array;

  /** `residual` as `saved` gave it, or zeros. */
  constructor(codec: Codec, beta: number, residual: Float32Array) {
    if (!(beta >= 0 && beta <= 1)) throw new RangeError(`beta is a number from 0 to 1, not ${beta}`);
    this.#codec = codec;
    this.#beta = beta;
    this.#residual = residual.slice();
  }

  /** A copy, to be kept across reloads. */
  saved(): Float32Array {
    return this.#residual.slice();
  }

  /** Encodes what is kept and what is new. The residual changes only by `commit`. Refuses as the codec does. */
  propose(update: Float32Array, stream: CodecStream): Proposal | CodecRefusal {
    const encoded = encodeWithResidual(this.#codec, this.#beta, this.#residual, update, stream);
    if (!encoded.ok) return encoded;
    let open = true;
    return {
      ok: true,
      bytes: encoded.bytes,
      commit: () => {
        if (!open) throw new Error("a proposal is committed once");
        open = false;
        this.#residual = encoded.rest;
      },
    };
  }
}

const FORMAT = "error-feedback/1";

/** A residual as it is kept: a safetensors file with one flat f32 vector in the model's canonical order. */
export const encodeResidual = (residual: Float32Array): Uint8Array =>
  writeSafetensors([{ name: "residual", shape: [residual.length], values: residual }], { weft: FORMAT });

/** Null for anything else, a damaged file included: it begins with zeros then. */
export function decodeResidual(bytes: Uint8Array): Float32Array | null {
  const file = readSafetensors(bytes);
  if (!file.ok || file.metadata.weft !== FORMAT) return null;
  const values = file.tensors.get("residual")?.values;
  return values instanceof Float32Array && allFinite(values) ? values : null;
}
