// The drawing field as values: dabs of the brush, movement of the cell that keys fill. Pure.

export interface Field {
  readonly height: number;
  readonly width: number;
}

/** The field after a dab at (x, y), in cells from the upper left corner. The brush is an eighth of the field, soft at its edge. */
export function dab(values: Float32Array, { height, width }: Field, x: number, y: number): Float32Array {
  const brush = Math.max(1, Math.min(height, width) / 8);
  return values.map((value, index) => {
    const distance = Math.hypot((index % width) + 0.5 - x, Math.floor(index / width) + 0.5 - y) / brush;
    return Math.max(value, Math.min(1, Math.max(0, 1.1 - 1.15 * Math.max(0, distance - 0.1))));
  });
}

export const isBlank = (values: Float32Array): boolean => values.every((value) => value === 0);

const STEPS: Record<string, readonly [dx: number, dy: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
/** The cell that an arrow key leads to; null for another key. The first press only shows the cell, in the middle. */
export function moved(cell: number | null, key: string, { height, width }: Field): number | null {
  const step = STEPS[key];
  if (step === undefined) return null;
  if (cell === null) return Math.floor(height / 2) * width + Math.floor(width / 2);
  const x = ((cell % width) + step[0] + width) % width;
  const y = (Math.floor(cell / width) + step[1] + height) % height;
  return y * width + x;
}
