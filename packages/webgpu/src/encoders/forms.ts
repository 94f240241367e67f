// How each codec is encoded on a device: which shaders one after another, on which buffers, and what of those makes the codec's bytes. Knows no
// update.
import { codecNamed } from "@weft/tensors";
import { workgroupsFor } from "../launch.ts";
import { PACK_INT4, PACK_TERNARY, PACK_THREADS, PAIR, quantiseShader } from "./quantise.ts";
import { SIGN } from "./sign.ts";
import { TOPK, TOPK_BLOCK, topkBytes } from "./topk.ts";

/** Buffers that every encoding has. */
export interface Given {
  /** f32, what is to be encoded. */
  readonly values: GPUBuffer;
  /** f32, for what the encoding does not say; of codecs with error feedback alone. */
  readonly residual: GPUBuffer | null;
  /** Two words, 0 before; shaders say there what cannot be encoded. */
  readonly faults: GPUBuffer;
  /** How many values, the two words of the stream's key, and by what a value is to be divided. */
  readonly uniforms: GPUBuffer;
  storage(sizeBytes: number, what: string): GPUBuffer;
  uniform(word: number): GPUBuffer;
}
export interface Stage {
  /** Of the form's shaders. */
  readonly shader: number;
  readonly bound: readonly GPUBuffer[];
  readonly workgroups: number;
}
export interface Encoding {
  readonly stages: readonly Stage[];
  /** To be zeroed before. */
  readonly zeroed: readonly GPUBuffer[];
  /** The codec's bytes: so many of each. */
  readonly parts: readonly { readonly buffer: GPUBuffer; readonly sizeBytes: number }[];
}
export interface Form {
  readonly shaders: readonly string[];
  /** By what a residual is multiplied before each update; null: the codec needs none. */
  readonly feedback: number | null;
  lay(size: number, given: Given): Encoding;
}

const QUANTISED_BLOCK = PAIR / 2;
const scaleBytes = (size: number): number => 2 * Math.ceil(size / QUANTISED_BLOCK);

/** Levels from -top to top, so many of them in a packed word; `pack` null: levels are bytes already. */
function quantised(top: number, levelsPerWord: number, pack: string | null, packedBytes: (size: number) => number): Form {
  return {
    shaders: [quantiseShader(top), ...(pack === null ? [] : [pack])],
    feedback: null,
    lay: (size, { values, faults, uniforms, storage, uniform }) => {
      const pairs = Math.ceil(size / PAIR);
      const words = Math.ceil(size / levelsPerWord);
      const scales = storage(4 * pairs, "scales");
      // Whole pairs of blocks, and as far as the last packed word reads; what no value has stays 0.
      const levels = storage(4 * Math.ceil(Math.max(PAIR * pairs, levelsPerWord * words) / 4), "levels");
      const packed = pack === null ? levels : storage(4 * words, "packed levels");
      const packing = { shader: 1, bound: [levels, packed, uniform(words)], workgroups: workgroupsFor(words, PACK_THREADS) };
      return {
        stages: [
          { shader: 0, bound: [values, levels, scales, faults, uniforms], workgroups: workgroupsFor(size, PAIR) },
          ...(pack === null ? [] : [packing]),
        ],
        zeroed: [],
        parts: [
          { buffer: scales, sizeBytes: scaleBytes(size) },
          { buffer: packed, sizeBytes: packedBytes(size) },
        ],
      };
    },
  };
}

const feedbackOf = (name: string): number => {
  const beta = codecNamed(name)?.feedback;
  if (beta === undefined) throw new Error(`The codec ${name} has no error feedback`);
  return beta;
};
/** Where codecs with error feedback leave what they do not say. */
function residualOf({ residual }: Given): GPUBuffer {
  if (residual === null) throw new Error("There is no buffer for the residual");
  return residual;
}

const sign: Form = {
  shaders: [SIGN],
  feedback: feedbackOf("sign"),
  lay: (size, given) => {
    const pairs = Math.ceil(size / PAIR);
    const scales = given.storage(4 * pairs, "scales");
    const packed = given.storage((pairs * PAIR) / 8, "signs");
    const bound = [given.values, residualOf(given), packed, scales, given.faults, given.uniforms];
    return {
      stages: [{ shader: 0, bound, workgroups: workgroupsFor(size, PAIR) }],
      zeroed: [],
      parts: [
        { buffer: scales, sizeBytes: scaleBytes(size) },
        { buffer: packed, sizeBytes: Math.ceil(size / 8) },
      ],
    };
  },
};

const topk: Form = {
  shaders: [TOPK],
  feedback: feedbackOf("topk"),
  lay: (size, given) => {
    const sizeBytes = topkBytes(size);
    const packed = given.storage(4 * Math.ceil(sizeBytes / 4), "chosen values");
    const bound = [given.values, residualOf(given), packed, given.faults, given.uniforms];
    return {
      stages: [{ shader: 0, bound, workgroups: workgroupsFor(size, TOPK_BLOCK) }],
      zeroed: [packed],
      parts: [{ buffer: packed, sizeBytes }],
    };
  },
};

export const FORMS: Readonly<Record<string, Form>> = {
  int8: quantised(127, 4, null, (size) => size),
  int4: quantised(7, 8, PACK_INT4, (size) => Math.ceil(size / 2)),
  ternary: quantised(1, 20, PACK_TERNARY, (size) => Math.ceil(size / 5)),
  sign,
  topk,
};
