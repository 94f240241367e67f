// The operations of language models under the names that the models ask for.
import type * as tf from "@tensorflow/tfjs-core";
import type { WasmBackend } from "../backend.ts";
import { type Launcher, matrixOf, take } from "./launchers.ts";

const layerNorm: Launcher = (backend, inputs, { epsilon }) => {
  const { x, gain } = take(inputs, "x", "gain");
  const [rows, width] = matrixOf(x);
  const [y, statistics] = [backend.output(x.shape), backend.output([rows, 2])];
  const bias = inputs.bias === undefined ? 0 : backend.addressOf(inputs.bias);
  const [atX, atGain, atY, atStatistics] = [x, gain, y, statistics].map((tensor) => backend.addressOf(tensor)) as [
    number,
    number,
    number,
    number,
  ];
  backend.call("layerNorm", atX, atGain, bias, atY, atStatistics, rows, width, epsilon as number);
  return [y, statistics];
};

const layerNormGradient: Launcher = (backend, inputs, { hasBias }) => {
  const { dy, x, gain, statistics } = take(inputs, "dy", "x", "gain", "statistics");
  const [rows, width] = matrixOf(x);
  const [dx, dGain] = [backend.output(x.shape), backend.output([width])];
  const dBias = hasBias === true ? [backend.output([width])] : [];
  const addresses = [dy, x, gain, statistics, dx, dGain, ...dBias].map((tensor) => backend.addressOf(tensor));
  backend.call("layerNormGradient", ...addresses, ...(dBias.length === 0 ? [0] : []), rows, width);
  return [dx, dGain, ...dBias];
};

const crossEntropy: Launcher = (backend, inputs, { predictions }) => {
  const { logits, targets, weights } = take(inputs, "logits", "targets", "weights");
  const [rows, classes] = matrixOf(logits);
  const [loss, logSums] = [backend.output([]), backend.output([rows])];
  const addresses = [logits, targets, weights, loss, logSums].map((tensor) => backend.addressOf(tensor));
  backend.withScratch(backend.instance.crossEntropyScratchBytes(rows), (scratch) =>
    backend.call("crossEntropy", ...addresses, rows, classes, predictions as number, scratch),
  );
  return [loss, logSums];
};

const crossEntropyGradient: Launcher = (backend, inputs, { predictions }) => {
  const { dy, logits, logSums, targets, weights } = take(inputs, "dy", "logits", "logSums", "targets", "weights");
  const [rows, classes] = matrixOf(logits);
  const dLogits = backend.output(logits.shape);
  const addresses = [dy, logits, logSums, targets, weights, dLogits].map((tensor) => backend.addressOf(tensor));
  backend.call("crossEntropyGradient", ...addresses, rows, classes, predictions as number);
  return [dLogits];
};

const embedding: Launcher = (backend, inputs, { length }) => {
  const { tokens, table, positions } = take(inputs, "tokens", "table", "positions");
  const [symbols, width] = matrixOf(table);
  const count = tokens.shape[0] as number;
  const y = backend.output([count, width]);
  const addresses = [tokens, table, positions, y].map((tensor) => backend.addressOf(tensor));
  backend.call("embedding", ...addresses, count, length as number, symbols, width);
  return [y];
};

const embeddingGradient: Launcher = (backend, inputs, attributes) => {
  const { dy, tokens } = take(inputs, "dy", "tokens");
  const { symbols, context, length } = attributes as { symbols: number; context: number; length: number };
  const [count, width] = matrixOf(dy);
  const [dTable, dPositions] = [backend.output([symbols, width]), backend.output([context, width])];
  const addresses = [dy, tokens, dTable, dPositions].map((tensor) => backend.addressOf(tensor));
  backend.call("embeddingGradient", ...addresses, count, length, context, symbols, width);
  return [dTable, dPositions];
};

const rows: Launcher = (backend, inputs) => {
  const { tokens, table } = take(inputs, "tokens", "table");
  const [symbols, width] = matrixOf(table);
  const count = tokens.shape[0] as number;
  const y = backend.output([count, width]);
  backend.call("embedding", backend.addressOf(tokens), backend.addressOf(table), 0, backend.addressOf(y), count, 1, symbols, width);
  return [y];
};

const rowsGradient: Launcher = (backend, inputs, { symbols }) => {
  const { dy, tokens } = take(inputs, "dy", "tokens");
  const [count, width] = matrixOf(dy);
  const dTable = backend.output([symbols as number, width]);
  const addresses = [dy, tokens, dTable].map((tensor) => backend.addressOf(tensor));
  backend.call("embeddingGradient", ...addresses, 0, count, 1, 0, symbols as number, width);
  return [dTable];
};

const lstm: Launcher = (backend, inputs, { length }) => {
  const { projected, recurrent } = take(inputs, "projected", "recurrent");
  const [tokens, fourfold] = matrixOf(projected);
  const hidden = fourfold / 4;
  const [y, previous, cells] = [0, 1, 2].map(() => backend.output([tokens, hidden])) as [tf.TensorInfo, tf.TensorInfo, tf.TensorInfo];
  const results = [y, previous, cells, backend.output([tokens, fourfold])];
  const addresses = [projected, recurrent, ...results].map((tensor) => backend.addressOf(tensor));
  callLstm(backend, "lstm", addresses, tokens / (length as number), length as number, hidden);
  return results;
};

const lstmGradient: Launcher = (backend, inputs, { length }) => {
  const { dy, cells, gates, recurrent } = take(inputs, "dy", "cells", "gates", "recurrent");
  const [tokens, hidden] = matrixOf(dy);
  const dProjected = backend.output([tokens, 4 * hidden]);
  const addresses = [dy, cells, gates, recurrent, dProjected].map((tensor) => backend.addressOf(tensor));
  callLstm(backend, "lstmGradient", addresses, tokens / (length as number), length as number, hidden);
  return [dProjected];
};

function callLstm(
  backend: WasmBackend,
  name: "lstm" | "lstmGradient",
  addresses: readonly number[],
  rowCount: number,
  length: number,
  hidden: number,
): void {
  backend.withScratch(backend.instance.lstmScratchBytes(rowCount, hidden), (scratch) =>
    backend.call(name, ...addresses, rowCount, length, hidden, scratch),
  );
}

const attention: Launcher = (backend, inputs, attributes) => {
  const { qkv } = take(inputs, "qkv");
  const { heads, length } = attributes as { heads: number; length: number };
  const [tokens, triple] = matrixOf(qkv);
  const [y, logSums] = [backend.output([tokens, triple / 3]), backend.output([tokens, heads])];
  const addresses = [qkv, y, logSums].map((tensor) => backend.addressOf(tensor));
  backend.withScratch(backend.instance.attentionScratchBytes(length), (scratch) =>
    backend.call("attention", ...addresses, tokens / length, length, heads, triple / 3 / heads, scratch),
  );
  return [y, logSums];
};

const attentionGradient: Launcher = (backend, inputs, attributes) => {
  const { dy, y, qkv, logSums } = take(inputs, "dy", "y", "qkv", "logSums");
  const { heads, length } = attributes as { heads: number; length: number };
  const [tokens, triple] = matrixOf(qkv);
  const dQkv = backend.output(qkv.shape);
  const addresses = [dy, y, qkv, logSums, dQkv].map((tensor) => backend.addressOf(tensor));
  backend.withScratch(backend.instance.attentionScratchBytes(length), (scratch) =>
    backend.call("attentionGradient", ...addresses, tokens / length, length, heads, triple / 3 / heads, scratch),
  );
  return [dQkv];
};

export const LANGUAGE: Readonly<Record<string, Launcher>> = {
  WeftLayerNorm: layerNorm,
  WeftLayerNormGradient: layerNormGradient,
  WeftCrossEntropy: crossEntropy,
  WeftCrossEntropyGradient: crossEntropyGradient,
  WeftEmbedding: embedding,
  WeftEmbeddingGradient: embeddingGradient,
  WeftRows: rows,
  WeftRowsGradient: rowsGradient,
  WeftLstm: lstm,
  WeftLstmGradient: lstmGradient,
  WeftAttention: attention,
  WeftAttentionGradient: attentionGradient,
};
