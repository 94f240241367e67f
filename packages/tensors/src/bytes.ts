// Typed arrays to bytes and back, always little-endian on the wire and on disk, whatever the view's alignment and the machine's order.

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const swapped = (bytes: Uint8Array, width: number): Uint8Array => {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
  return bytes;
};

/** Copy of f32 values as little-endian bytes. */
export function f32ToBytes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return LITTLE ? bytes : swapped(bytes, 4);
}

/** Fills `into` with f32 values from as many little-endian bytes, which may lie anywhere. */
export function f32Into(into: Float32Array, bytes: Uint8Array): void {
  if (bytes.length !== into.byteLength) throw new RangeError(`${bytes.length} bytes are not ${into.length} f32`);
  const raw = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
  raw.set(bytes);
  if (!LITTLE) swapped(raw, 4);
}

/** f32 values from little-endian bytes, copied, so that the bytes may lie anywhere. The length must be a multiple of 4. */
export function f32FromBytes(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 !== 0) throw new RangeError(`${bytes.length} bytes are no whole number of f32`);
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return new Float32Array((LITTLE ? copy : swapped(copy, 4)).buffer);
}

export function f64ToBytes(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return LITTLE ? bytes : swapped(bytes, 8);
}

export function f64FromBytes(bytes: Uint8Array): Float64Array {
  if (bytes.length % 8 !== 0) throw new RangeError(`${bytes.length} bytes are no whole number of f64`);
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return new Float64Array((LITTLE ? copy : swapped(copy, 8)).buffer);
}
