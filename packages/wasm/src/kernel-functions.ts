// The kernels that the module exports, by name and by number, and how much work a call is. Knows no memory and no threads.

/** The numbers of kernels are their places here. */
export const FUNCTIONS = [
  "adamw",
  "add",
  "attention",
  "attentionGradient",
  "columnSums",
  "convolutionBlock",
  "convolutionBlockGradient",
  "crossEntropy",
  "crossEntropyGradient",
  "embedding",
  "embeddingGradient",
  "gelu",
  "geluGradient",
  "layerNorm",
  "layerNormGradient",
  "lstm",
  "lstmGradient",
  "matmul",
  "reluGradient",
  "sgd",
] as const;
export type KernelFunction = (typeof FUNCTIONS)[number];
/** Pointers, extents and switches, in the order of assembly/. */
export type Kernel = (...args: readonly number[]) => void;

/** `times` the product of the arguments at these places. */
const cost =
  (times: number, ...places: readonly number[]) =>
  (args: readonly number[]): number =>
    places.reduce((product, place) => product * (args[place] ?? 0), times);

/** About how many multiplications and additions lie between two meetings of the threads; 0: the kernel is not divided, one thread does all of
 *  it. An exponential counts as ten. */
const WORK: Readonly<Record<KernelFunction, (args: readonly number[]) => number>> = {
  adamw: cost(10, 4),
  add: cost(1, 3),
  attention: cost(1, 3, 4, 4, 5, 6),
  attentionGradient: cost(3, 5, 6, 6, 7, 8),
  columnSums: cost(1, 2, 3),
  convolutionBlock: cost(1, 5, 6, 7, 8, 8, 9, 10),
  convolutionBlockGradient: cost(2, 7, 8, 9, 10, 10, 11, 12),
  crossEntropy: cost(10, 5, 6),
  crossEntropyGradient: cost(10, 6, 7),
  embedding: () => 0,
  embeddingGradient: () => 0,
  gelu: cost(20, 3),
  geluGradient: cost(30, 4),
  layerNorm: cost(6, 5, 6),
  layerNormGradient: cost(12, 7, 8),
  lstm: (args) => cost(4, 6, 8, 8)(args) + cost(60, 6, 8)(args),
  lstmGradient: (args) => cost(4, 5, 7, 7)(args) + cost(40, 5, 7)(args),
  matmul: cost(1, 3, 6, 7, 8),
  reluGradient: cost(1, 3),
  sgd: cost(5, 3),
};

export const workOf = (kernel: number, args: readonly number[]): number => WORK[FUNCTIONS[kernel] as KernelFunction](args);

/** The kernels of an instance, in the order of their numbers. */
export const kernelsOf = ({ exports }: WebAssembly.Instance): readonly Kernel[] => FUNCTIONS.map((name) => exports[name] as Kernel);
