// Continues a text token by token: a window of fixed length in, one more token out. Knows no backend and no worker.
import { sampleToken } from "@weft/models";

export interface WriteOptions {
  /** Tokens of one window. */
  readonly context: number;
  readonly vocabulary: number;
  /** At least one. */
  readonly tokens: ArrayLike<number>;
  readonly count: number;
  readonly temperature: number;
  /** One draw in [0, 1) for each token. */
  readonly uniform: () => number;
  /** [context, vocabulary] logits of one window. */
  readonly logits: (window: Int32Array) => Promise<Float32Array>;
  readonly onToken: (token: number) => void;
}

/**
 * The window is always `context` long, padded at its end: a causal model does not see what comes later, and a device
 * compiles its kernels for one shape only.
 */
export async function writeTokens(options: WriteOptions): Promise<void> {
  const { context, vocabulary, count, temperature, uniform, logits, onToken } = options;
  const text = Array.from(options.tokens);
  if (text.length === 0) throw new Error("There is nothing to continue.");
  for (let made = 0; made < count; made++) {
    const window = new Int32Array(context);
    const tail = text.slice(-context);
    window.set(tail);
    const all = await logits(window);
    const row = all.slice((tail.length - 1) * vocabulary, tail.length * vocabulary);
    const token = sampleToken(row, { temperature }, uniform());
    text.push(token);
    onToken(token);
  }
}

/** Softmax; the largest logit is subtracted first, so that nothing overflows. */
export function probabilitiesOf(logits: Float32Array): Float32Array {
  const highest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const powers = logits.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}
