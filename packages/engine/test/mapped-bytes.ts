// Counts what a piece of work reads back from the GPU.

/** Bytes of all ranges that are mapped to be read while `work` runs, and maps. Not for two at a time. */
export async function mappedBytes(work: () => Promise<void>): Promise<{ readonly bytes: number; readonly maps: number }> {
  const prototype = GPUBuffer.prototype;
  const { mapAsync } = prototype;
  let [bytes, maps] = [0, 0];
  prototype.mapAsync = function (this: GPUBuffer, mode, offset = 0, size) {
    maps += 1;
    bytes += size ?? this.size - offset;
    return mapAsync.call(this, mode, offset, size);
  };
  try {
    await work();
  } finally {
    prototype.mapAsync = mapAsync;
  }
  return { bytes, maps };
}
