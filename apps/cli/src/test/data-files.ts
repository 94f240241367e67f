// Small data files that tests import: six images of 2 by 2 as IDX and four as CSV, and a text.

/** IDX of unsigned bytes. */
export const idx = (dimensions: readonly number[], values: readonly number[], type = 8): Buffer => {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header.set([0, 0, type, dimensions.length]);
  for (const [index, extent] of dimensions.entries()) header.writeUInt32BE(extent, 4 + 4 * index);
  return Buffer.concat([header, Uint8Array.from(values)]);
};
export const PIXELS = Array.from({ length: 24 }, (_, index) => 10 * index);
export const LABELS = [0, 1, 2, 0, 1, 2];
/** Six images of 2 by 2, each pixel its own value. */
export const IMAGES = idx([6, 2, 2], PIXELS);
/** Four images of 2 by 2, the label last. */
export const ROWS = "0,0,255,255,0\n255,255,0,0,1\n1,2,3,4,2\n5,6,7,8,0\n";
export const TEXT = "All happy families are alike.\n".repeat(20);
