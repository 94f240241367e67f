// Reads a checkpoint and evaluates it with nothing of ours: a zip reader, a safetensors reader and a network of two layers, each written
// from the format's own description. It exists so that a mistake shared by writer and reader cannot hide.

/** Files of a zip archive whose entries are stored or deflated, by name. */
export async function unzip(archive: Uint8Array): Promise<Map<string, Uint8Array>> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  let end = archive.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("no zip archive");
  const files = new Map<string, Uint8Array>();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("damaged central directory");
    const method = view.getUint16(at + 10, true);
    const size = view.getUint32(at + 20, true);
    const nameLength = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(archive.subarray(at + 46, at + 46 + nameLength));
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const raw = archive.slice(start, start + size);
    const bytes =
      method === 0
        ? raw
        : new Uint8Array(await new Response(new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer());
    files.set(name, bytes);
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return files;
}

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export function safetensors(file: Uint8Array): Map<string, Tensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerLength))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (entry.dtype !== "F32") throw new Error(`${name} is ${entry.dtype}`);
    const [from, to] = entry.data_offsets;
    const values: number[] = [];
    for (let at = 8 + headerLength + from; at < 8 + headerLength + to; at += 4) values.push(view.getFloat32(at, true));
    tensors.set(name, { shape: entry.shape, values });
  }
  return tensors;
}

/** y = W x + b with W as PyTorch's Linear keeps it, [out, in]. */
function linear(weight: Tensor, bias: Tensor, x: readonly number[]): number[] {
  const [rows = 0, columns = 0] = weight.shape;
  return Array.from({ length: rows }, (_, row) => {
    let sum = bias.values[row] ?? Number.NaN;
    for (let column = 0; column < columns; column++)
      sum += (weight.values[row * columns + column] ?? Number.NaN) * (x[column] ?? Number.NaN);
    return sum;
  });
}

/** Share of images classified rightly by relu layers fc1, fc2, ...; the last layer has no relu. */
export function accuracy(tensors: Map<string, Tensor>, images: readonly (readonly number[])[], labels: readonly number[]): number {
  const layers: [Tensor, Tensor][] = [];
  for (let layer = 1; ; layer++) {
    const weight = tensors.get(`fc${layer}.weight`);
    const bias = tensors.get(`fc${layer}.bias`);
    if (weight === undefined || bias === undefined) break;
    layers.push([weight, bias]);
  }
  if (layers.length === 0) throw new Error("no fc1.weight");
  let right = 0;
  images.forEach((image, index) => {
    let x: readonly number[] = image;
    layers.forEach(([weight, bias], layer) => {
      const y = linear(weight, bias, x);
      x = layer === layers.length - 1 ? y : y.map((value) => Math.max(0, value));
    });
    if (x.indexOf(Math.max(...x)) === labels[index]) right++;
  });
  return right / images.length;
}
