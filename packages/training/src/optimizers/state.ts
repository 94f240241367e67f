// Optimiser state as bytes: a safetensors file with flat f32 vectors in the model's canonical order, f64 scalars, and
// `weft` = "optimizer-state/1", `kind` = the optimiser's name in its metadata. Exact: what is read is what was written. Where the published
// weights are not the ones that the optimiser steps (see downlink.ts), these stand in it too, as `master_weights`.
import { ok, type Result, refuse } from "@weft/protocol";
import { allFinite, readSafetensors, writeSafetensors } from "@weft/tensors";

const FORMAT = "optimizer-state/1";

export interface OptimizerState<V extends string, S extends string> {
  readonly vectors: Readonly<Record<V, Float32Array>>;
  readonly scalars: Readonly<Record<S, number>>;
  /** The weights that the optimiser steps, where they are not the published ones; else null. */
  readonly master: Float32Array | null;
}

const MASTER = "master_weights";

/** Tensors in the order of the names given, so that the bytes depend on nothing else. */
export function encodeState<V extends string, S extends string>(
  kind: string,
  state: OptimizerState<V, S>,
  vectors: readonly V[],
  scalars: readonly S[],
): Uint8Array {
  return writeSafetensors(
    [
      ...scalars.map((name) => ({ name, shape: [], values: Float64Array.of(state.scalars[name]) })),
      ...vectors.map((name) => ({ name, shape: [state.vectors[name].length], values: state.vectors[name] })),
      ...(state.master === null ? [] : [{ name: MASTER, shape: [state.master.length], values: state.master }]),
    ],
    { weft: FORMAT, kind },
  );
}

export function decodeState<V extends string, S extends string>(
  kind: string,
  size: number,
  bytes: Uint8Array,
  vectors: readonly V[],
  scalars: readonly S[],
): Result<OptimizerState<V, S>> {
  const damaged = (detail: string) => refuse("damaged", `the optimiser state cannot be used: ${detail}`);
  const file = readSafetensors(bytes);
  if (!file.ok) return damaged(file.detail);
  if (file.metadata.weft !== FORMAT || file.metadata.kind !== kind) return damaged(`it is not the state of ${kind}`);
  const hasMaster = file.tensors.has(MASTER);
  if (file.tensors.size !== vectors.length + scalars.length + (hasMaster ? 1 : 0)) return damaged(`it holds ${file.tensors.size} tensors`);
  const foundVectors = {} as Record<V, Float32Array>;
  const foundScalars = {} as Record<S, number>;
  let master: Float32Array | null = null;
  for (const name of hasMaster ? [...vectors, MASTER] : vectors) {
    const values = file.tensors.get(name)?.values;
    if (!(values instanceof Float32Array) || values.length !== size) return damaged(`${name} is not a vector of ${size} f32`);
    if (!allFinite(values)) return damaged(`${name} holds a value that is not finite`);
    if (name === MASTER) master = values;
    else foundVectors[name as V] = values;
  }
  for (const name of scalars) {
    const values = file.tensors.get(name)?.values;
    const value = values?.[0];
    if (!(values instanceof Float64Array) || values.length !== 1 || value === undefined || !Number.isFinite(value))
      return damaged(`${name} is not one finite f64`);
    foundScalars[name] = value;
  }
  return ok({ vectors: foundVectors, scalars: foundScalars, master });
}
