// Where each named parameter lies in the one flat f32 vector of a model. Knows no model and no backend.

export interface ParameterInfo {
  /** Canonical name, as the model's home calls it: `fc1.weight`, `transformer.h.0.attn.c_attn.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** First value in the flat vector, counted in values. */
  readonly offset: number;
  readonly size: number;
}
export interface ParameterLayout {
  /** In canonical order, contiguous, without gaps. */
  readonly parameters: readonly ParameterInfo[];
  readonly size: number;
}

/** Lays the parameters one after another in the given order. */
export function layoutOf(entries: readonly { readonly name: string; readonly shape: readonly number[] }[]): ParameterLayout {
  let offset = 0;
  const parameters = entries.map(({ name, shape }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const info: ParameterInfo = { name, shape, offset, size };
    offset += size;
    return info;
  });
  return { parameters, size: offset };
}

/** View (not a copy) of one parameter in the flat vector. */
export const viewOf = (flat: Float32Array, { offset, size }: ParameterInfo): Float32Array => flat.subarray(offset, offset + size);
