// Token embedding with learned positions, and its gradients.
import { addRow } from "./elementwise";

@inline
function bounded(symbol: i32, count: i32): i32 {
  return max(0, min(symbol, count - 1));
}

/** Row of `table` for each token plus that of `positions`, where there are any, for its place in the window. */
export function embedding(tokens: usize, table: usize, positions: usize, y: usize, count: i32, length: i32, symbols: i32, width: i32): void {
  const pitch = <usize>width << 2;
  for (let token = 0; token < count; token++, y += pitch) {
    memory.copy(y, table + <usize>bounded(load<i32>(tokens + (token << 2)), symbols) * pitch, pitch);
    if (positions) addRow(positions + <usize>(token % length) * pitch, y, width);
  }
}

/** Slopes of a token go to its symbol's row and, where there are positions, to that of its place. */
export function embeddingGradient(
  dy: usize, tokens: usize, dTable: usize, dPositions: usize, count: i32, length: i32, context: i32, symbols: i32, width: i32,
): void {
  const pitch = <usize>width << 2;
  memory.fill(dTable, 0, <usize>symbols * pitch);
  if (dPositions) memory.fill(dPositions, 0, <usize>context * pitch);
  for (let token = 0; token < count; token++, dy += pitch) {
    addRow(dy, dTable + <usize>bounded(load<i32>(tokens + (token << 2)), symbols) * pitch, width);
    if (dPositions) addRow(dy, dPositions + <usize>(token % length) * pitch, width);
  }
}
