// Where topk's numbers lie in its bytes: blocks, chosen values, 14-bit words. Knows no values.

export const TOPK_BLOCK = 4096;
const SHARE = 64;
export const INDEX_BITS = 12;
export const WORD_BITS = INDEX_BITS + 2;

/** How many of a block's values are carried. */
export const chosenOf = (values: number): number => Math.ceil(values / SHARE);
export const blockBytes = (values: number): number => 2 + Math.ceil((chosenOf(values) * WORD_BITS) / 8);

export function topkBytes(size: number): number {
  const rest = size % TOPK_BLOCK;
  return Math.floor(size / TOPK_BLOCK) * blockBytes(TOPK_BLOCK) + (rest === 0 ? 0 : blockBytes(rest));
}

/** The blocks of `size` values: how many values each has, and where its bytes begin. */
export function* topkBlocks(size: number): Generator<{ readonly values: number; readonly at: number }> {
  for (let from = 0, at = 0; from < size; from += TOPK_BLOCK) {
    const values = Math.min(TOPK_BLOCK, size - from);
    yield { values, at };
    at += blockBytes(values);
  }
}

/** Word `index` of a block whose bytes begin at 0 of `into`, which holds zeros there. */
export function writeWord(into: Uint8Array, index: number, word: number): void {
  const from = index * WORD_BITS;
  const shifted = word << (from & 7);
  const at = 2 + (from >> 3);
  for (let byte = 0; byte < 3; byte++) {
    const bits = (shifted >>> (8 * byte)) & 255;
    if (bits !== 0) into[at + byte] = (into[at + byte] as number) | bits;
  }
}

export function readWord(bytes: Uint8Array, index: number): number {
  const from = index * WORD_BITS;
  const at = 2 + (from >> 3);
  const three = (bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return (three >>> (from & 7)) & ((1 << WORD_BITS) - 1);
}
