// Bench `uplink`: what one update takes on the line and on the processor, codec by codec and for models of three sizes: bits a parameter,
// bytes beside f32, encoding and decoding in JavaScript, folding in WebAssembly, and whether a GPU packs the same bytes. And the other way:
// what a version takes as a delta from the one before.
import { applyDelta, type Codec, codecs, decode, deltaStream, deltaTowards } from "@weft/tensors";
import { wasmMean } from "@weft/wasm/fold";
import { DEVICE_CODECS } from "@weft/webgpu";
import type { Bench, BenchContext, Goal, Row } from "../../bench.ts";
import { openBenchPage } from "../../support/bench-page.ts";
import type { DeviceFigures } from "./in-page.ts";
import { updateOf } from "./update.ts";

type InPage = typeof globalThis & {
  readonly weftUplink: { encodeOnDevice(name: string, size: number, seed: number, isTimed: boolean): Promise<DeviceFigures> };
};

const SIZES = [200_000, 1_700_000, 10_000_000];
const SHORT_SIZES = [200_000];
/** Most bits a parameter before entropy coding. */
const BITS: Readonly<Record<string, number>> = { ternary: 1.7, topk: 0.24 };
/** Symbols that a device may encode otherwise than the CPU. */
const MOST_OFF = 1 / 10_000;
const TURNS = 3;

const sizeText = (size: number): string => `${size / 1e6} M`;

function fastestMs(turns: number, work: () => void): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < turns; turn++) {
    const beganMs = performance.now();
    work();
    fastest = Math.min(fastest, performance.now() - beganMs);
  }
  return fastest;
}

function processorRows(codec: Codec, update: Float32Array, { seed, short }: BenchContext): Row[] {
  const size = update.length;
  const stream = { seed, lease: 1 };
  const encoded = codec.encode(update, stream);
  if (!encoded.ok) throw new Error(encoded.detail);
  const { bytes } = encoded;
  const row = (figure: string, value: number, unit: string, goal: Goal | null, anchor = ""): Row => ({
    figure: `${sizeText(size)}, ${codec.name}: ${figure}`,
    value,
    unit,
    goal,
    anchor,
  });
  const most = BITS[codec.name];
  const sizes = [
    row(
      "before entropy coding",
      (8 * codec.mostBytes(size)) / size,
      "bits a parameter",
      most === undefined ? null : { at: "most", value: most },
      most === undefined ? "" : "goal of the issue",
    ),
    row("as sent", (8 * bytes.length) / size, "bits a parameter", null),
    row("upload of one update", bytes.length, "bytes", null, `f32 takes ${(4 * size).toLocaleString("en")}`),
    row("smaller than f32", (4 * size) / bytes.length, "times", null),
  ];
  if (short) return sizes;
  const mean = wasmMean();
  const megabytes = (4 * size) / 1e6;
  const pace = (figure: string, work: () => void): Row =>
    row(figure, megabytes / (fastestMs(TURNS, work) / 1000), "MB/s", null, "of f32, one thread, fastest of three");
  return [
    ...sizes,
    pace("encode, JavaScript", () => void codec.encode(update, stream)),
    pace("decode, JavaScript", () => void decode(codec, bytes, size)),
    pace("decode and fold, WebAssembly", () => {
      const fold = mean.start(size);
      fold.add({ codec, bytes }, 1);
      fold.finish();
    }),
  ];
}

/** What each volunteer fetches of each version, and what making and applying that takes. */
function downlinkRows(size: number, { seed, short }: BenchContext): Row[] {
  const from = updateOf(size, seed);
  const change = updateOf(size, seed + 1);
  const to = from.map((at, index) => at + 0.01 * (change[index] as number));
  const make = () => deltaTowards(from, to, deltaStream(seed, 1));
  const made = make();
  if (made === null) throw new Error("the change is beyond a delta");
  const row = (figure: string, value: number, unit: string, anchor = ""): Row => ({
    figure: `${sizeText(size)}, downlink int8: ${figure}`,
    value,
    unit,
    goal: null,
    anchor,
  });
  const sizes = [
    row("one version for one volunteer", made.bytes.length, "bytes", `the snapshot takes ${(4 * size).toLocaleString("en")}`),
    row("smaller than the snapshot", (4 * size) / made.bytes.length, "times"),
    row("versions that deltas span before the snapshot is cheaper", Math.ceil((4 * size) / made.bytes.length) - 1, "versions"),
  ];
  if (short) return sizes;
  const applied = from.slice();
  const megabytes = (4 * size) / 1e6;
  const pace = (figure: string, work: () => void): Row =>
    row(figure, megabytes / (fastestMs(TURNS, work) / 1000), "MB/s", "of f32, one thread, fastest of three");
  return [...sizes, pace("make", () => void make()), pace("apply", () => void applyDelta(applied, made.bytes))];
}

async function deviceRows(sizes: readonly number[], { seed, peakTflops, short, say }: BenchContext): Promise<Row[]> {
  const script = new URL("./in-page.ts", import.meta.url);
  // A software adapter proves bytes, not speed.
  const hardware = peakTflops !== null;
  const opened = await openBenchPage({ script, frames: [], hardware });
  try {
    const rows: Row[] = [];
    for (const size of sizes)
      for (const name of DEVICE_CODECS) {
        say(`${sizeText(size)}, ${name} on WebGPU ...`);
        const { sizeBytes, cpuBytes, differing, packMs } = await opened.page.evaluate(
          ([codec, values, from, isTimed]) => (globalThis as InPage).weftUplink.encodeOnDevice(codec, values, from, isTimed),
          [name, size, seed, hardware && !short] as const,
        );
        const figure = `${sizeText(size)}, ${name}: WebGPU`;
        rows.push(
          { figure: `${figure}, bytes`, value: sizeBytes, unit: "bytes", goal: null, anchor: `CPU: ${cpuBytes.toLocaleString("en")}` },
          {
            figure: `${figure}, values other than the CPU's`,
            value: differing / size,
            unit: "of all",
            goal: { at: "most", value: MOST_OFF },
            anchor: "goal of the issue",
            ...(hardware ? {} : { note: "a software adapter proves bytes, not speed" }),
          },
        );
        if (Number.isFinite(packMs))
          rows.push({
            figure: `${figure}, encode`,
            value: (4 * size) / 1e6 / (packMs / 1000),
            unit: "MB/s",
            goal: null,
            anchor: "of f32, until the packed bytes are read, fastest of three",
          });
      }
    return rows;
  } finally {
    await opened.close();
  }
}

export const uplinkBench: Bench = {
  name: "uplink",
  about: "bits a parameter, bytes and pace of every codec, on the processor and on WebGPU; and of deltas down",
  async run(context) {
    const sizes = context.short ? SHORT_SIZES : SIZES;
    const wanted = (part: string): boolean => context.only === null || part.includes(context.only);
    const rows: Row[] = [];
    if (wanted("processor"))
      for (const size of sizes) {
        const update = updateOf(size, context.seed);
        for (const codec of codecs.values()) {
          context.say(`${sizeText(size)}, ${codec.name} ...`);
          rows.push(...processorRows(codec, update, context));
        }
      }
    if (wanted("downlink")) for (const size of sizes) rows.push(...downlinkRows(size, context));
    if (wanted("webgpu")) rows.push(...(await deviceRows(sizes, context)));
    return rows;
  },
};
