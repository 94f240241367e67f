// safetensors, written and read: u64 little-endian header length, JSON header padded with spaces to 8 bytes, contiguous row-major data.
// Format: https://github.com/huggingface/safetensors (README, "Format"). Reads bytes from strangers: everything is bounded and checked
// before it is believed. F32 and F64 only; other types are refused by name. Knows no model.
import { f32FromBytes, f32ToBytes, f64FromBytes, f64ToBytes } from "./bytes.ts";

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Row-major; as long as the product of the shape. A scalar has shape []. */
  readonly values: Float32Array | Float64Array;
}

/** The format's own bound is 100 MB; a model of ours has hundreds of tensors at about 100 bytes each. */
const MAX_HEADER_BYTES = 4 * 1024 * 1024;
const MAX_TENSORS = 20_000;
const MAX_DIMENSIONS = 8;
const MAX_TENSOR_NAME = 256;
const METADATA = "__metadata__";

const elements = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Deterministic bytes: tensors in the given order, metadata keys as given after `format`. Names must be unique, non-empty and not the metadata's. */
export function writeSafetensors(tensors: readonly Tensor[], metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const entries: [string, unknown][] = [[METADATA, { format: "pt", ...metadata }]];
  const names = new Set<string>([METADATA, ""]);
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    if (names.has(name)) throw new RangeError(`a tensor may not be called ${JSON.stringify(name)} here`);
    if (elements(shape) !== values.length) throw new RangeError(`${name} has ${values.length} values, not [${shape.join(", ")}]`);
    names.add(name);
    const dtype = values instanceof Float32Array ? "F32" : "F64";
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + values.byteLength] }]);
    offset += values.byteLength;
  }
  // Not Object.fromEntries and JSON.stringify: integer-like names would be moved to the front.
  const json = new TextEncoder().encode(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(json, 8);
  let at = 8 + headerBytes;
  for (const { values } of tensors) {
    file.set(values instanceof Float32Array ? f32ToBytes(values) : f64ToBytes(values), at);
    at += values.byteLength;
  }
  return file;
}

export type SafetensorsFile =
  | { readonly ok: true; readonly tensors: ReadonlyMap<string, Tensor>; readonly metadata: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly detail: string };

interface Entry {
  readonly name: string;
  readonly dtype: "F32" | "F64";
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What is wrong with a file, carried out of the parsing functions below and turned into a refusal at the edge. */
class Malformed extends Error {}
const bad = (detail: string): never => {
  throw new Malformed(detail);
};

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function entryOf(name: string, value: unknown): Entry {
  const shown = JSON.stringify(name.slice(0, 80));
  if (name.length === 0 || name.length > MAX_TENSOR_NAME) return bad(`a tensor's name has ${name.length} characters`);
  if (!isRecord(value) || Object.keys(value).length !== 3) return bad(`tensor ${shown} is not { dtype, shape, data_offsets }`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (dtype !== "F32" && dtype !== "F64")
    return bad(`tensor ${shown} has type ${JSON.stringify(dtype)?.slice(0, 20)}; only F32 and F64 are read`);
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isWhole)) return bad(`tensor ${shown} has a malformed shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isWhole)) return bad(`tensor ${shown} has malformed data_offsets`);
  const [begin, end] = offsets as [number, number];
  const sizeBytes = elements(shape) * (dtype === "F32" ? 4 : 8);
  if (end - begin !== sizeBytes) return bad(`tensor ${shown} takes ${sizeBytes} bytes by its shape, ${end - begin} by its offsets`);
  return { name, dtype, shape, begin, end };
}

function metadataOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isRecord(value) || !Object.values(value).every((text) => typeof text === "string")) return bad("the metadata is not text by name");
  return value as Record<string, string>;
}

function headerOf(file: Uint8Array): { readonly header: Record<string, unknown>; readonly dataAt: number } {
  if (file.length < 8) return bad(`${file.length} bytes are too few for a header`);
  const length = new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) return bad(`the header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are read`);
  const dataAt = 8 + Number(length);
  if (dataAt > file.length) return bad(`the header claims ${length} bytes of ${file.length - 8}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, dataAt)));
  } catch {
    return bad("the header is not JSON in UTF-8");
  }
  if (file[8] !== 0x7b || !isRecord(header)) return bad("the header is not an object that starts at once");
  return { header, dataAt };
}

/** Reads a whole file; values are copies. Tensors must cover the data exactly: no gap, no overlap, nothing after the last. */
export function readSafetensors(file: Uint8Array): SafetensorsFile {
  try {
    const { header, dataAt } = headerOf(file);
    const names = Object.keys(header).filter((name) => name !== METADATA);
    if (names.length > MAX_TENSORS) bad(`${names.length} tensors; at most ${MAX_TENSORS} are read`);
    const entries = names.map((name) => entryOf(name, header[name])).sort((a, b) => a.begin - b.begin || a.end - b.end);
    let reached = 0;
    for (const { name, begin, end } of entries) {
      if (begin !== reached)
        bad(
          `tensor ${JSON.stringify(name)} starts at ${begin}, ${begin < reached ? "inside another" : "after a gap"}; ${reached} was expected`,
        );
      reached = end;
    }
    const dataBytes = file.length - dataAt;
    if (reached !== dataBytes) bad(`the tensors take ${reached} bytes, the file holds ${dataBytes}`);
    const tensors = new Map<string, Tensor>();
    for (const { name, dtype, shape, begin, end } of entries) {
      const bytes = file.subarray(dataAt + begin, dataAt + end);
      tensors.set(name, { name, shape, values: dtype === "F32" ? f32FromBytes(bytes) : f64FromBytes(bytes) });
    }
    return { ok: true, tensors, metadata: metadataOf(header[METADATA]) };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, detail: error.message };
    throw error;
  }
}
