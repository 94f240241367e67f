// What the module exports. Pointers are bytes into the imported memory.
export { attention, attentionGradient, attentionScratchBytes } from "./attention";
export { convolutionBlock, convolutionBlockGradient, convolutionScratchBytes } from "./convolution";
export { crossEntropy, crossEntropyGradient, crossEntropyScratchBytes } from "./cross-entropy";
export { add, columnSums, gelu, geluGradient, reluGradient } from "./elementwise";
export { embedding, embeddingGradient } from "./embedding";
export { layerNorm, layerNormGradient } from "./layer-norm";
export { lstm, lstmGradient, lstmScratchBytes } from "./lstm";
export { matmul, matmulScratchBytes } from "./matmul";
export { adamw, optimizerScratchBytes, sgd } from "./optimizers";
export { takePart } from "./parallel";
