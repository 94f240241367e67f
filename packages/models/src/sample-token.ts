// Chooses the next token from a row of logits, for try-it boxes and samples. Knows no model and no backend.

export interface SamplingOptions {
  /** 0: always the likeliest. */
  readonly temperature: number;
  /** Only the likeliest so many take part; absent: all. */
  readonly topK?: number;
}

/** `uniform` is one draw in [0, 1). */
export function sampleToken(logits: Float32Array, { temperature, topK = logits.length }: SamplingOptions, uniform: number): number {
  const order = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const first = order[0];
  if (first === undefined) throw new Error("No logits to choose from");
  if (temperature <= 0) return first;
  const candidates = order.slice(0, Math.max(1, topK));
  const highest = logits[first] as number;
  const chances = candidates.map((token) => Math.exp(((logits[token] as number) - highest) / temperature));
  let left = uniform * chances.reduce((sum, chance) => sum + chance, 0);
  for (const [index, token] of candidates.entries()) {
    left -= chances[index] as number;
    if (left < 0) return token;
  }
  return first;
}
