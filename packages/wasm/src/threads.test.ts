// Kernels on several threads: the bits of one thread, whatever is computed; and what becomes of threads that fail, that never come, that are no
// longer wanted.
import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@weft/tensors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startKernelThread } from "../../../apps/cli/src/volunteer/workers/kernel-threads.ts";
import { threadsOf } from "../test/threads.ts";
import {
  FlatOptimizer,
  FlatParameters,
  registerWasmBackend,
  type ThreadOptions,
  unregisterWasmBackend,
  type WasmBackend,
} from "./index.ts";
import { openInstance } from "./instance.ts";
import { TURN_AT } from "./meeting.ts";

const normals = (length: number, seed: number): Float32Array => {
  const stream = randomStream(seed, 0);
  return Float32Array.from({ length }, () => stream.normal());
};
const drawn = (seed: number, ...shape: number[]): tf.Tensor => tf.tensor(normals(tf.util.sizeFromShape(shape), seed), shape);
const symbols = (seed: number, count: number, beyond: number): tf.Tensor =>
  tf.tensor1d(
    normals(count, seed).map((value) => Math.floor(Math.abs(1000 * value)) % beyond),
    "int32",
  );
const run = (name: string, inputs: tf.NamedTensorMap, attributes: Record<string, unknown>): tf.Tensor[] =>
  [tf.engine().runKernel(name, inputs, attributes as never)].flat() as unknown as tf.Tensor[];

interface Extents {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly seed: number;
}

/** Every kernel that is divided, at extents of all kinds. */
const KERNELS: Readonly<Record<string, (extents: Extents, backend: WasmBackend) => tf.Tensor[]>> = {
  "products of every layout": ({ a, b, c, seed }) =>
    [false, true].flatMap((transposeA) =>
      [false, true].flatMap((transposeB) =>
        [1, 3].flatMap((batch) =>
          run(
            "BatchMatMul",
            { a: drawn(seed, batch, ...(transposeA ? [c, a] : [a, c])), b: drawn(seed + 1, batch, ...(transposeB ? [b, c] : [c, b])) },
            { transposeA, transposeB },
          ),
        ),
      ),
    ),
  "dense layers": ({ a, b, c, seed }) => {
    const [x, weight, bias] = [drawn(seed, a, c), drawn(seed + 1, c, b), drawn(seed + 2, b)] as [tf.Tensor, tf.Tensor, tf.Tensor];
    return (["relu", "gelu-exact", "gelu-tanh"] as const).flatMap((activation) => {
      const results = run("WeftLinear", { x, weight, bias }, { outIn: false, activation });
      const seen = results.at(-1) as tf.Tensor;
      const attributes = { outIn: false, activation, hasBias: true, inputIsData: false };
      return [...results, ...run("WeftLinearGradient", { dy: drawn(seed + 3, a, b), x, weight, seen }, attributes)];
    });
  },
  optimisers: ({ a, b, seed }, backend) => {
    const size = a * b;
    const layout = { parameters: [{ name: "w", offset: 0, size, shape: [size] }], size };
    return (
      [
        { kind: "sgd", momentum: 0.9, weightDecay: 0.1 },
        { kind: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 },
      ] as const
    ).map((optimizer) => {
      const parameters = new FlatParameters(backend, layout);
      parameters.write(normals(size, seed));
      const flat = new FlatOptimizer(backend, parameters, layout, { optimizer, clipNorm: 0.5 });
      const gradients = [{ at: backend.addressOf(drawn(seed + 1, size)), size }];
      for (const adds of [false, true]) flat.gather(gradients, adds);
      for (let step = 0; step < 2; step++) flat.apply(0.1, 1 / 3);
      const result = tf.tensor1d(parameters.read());
      flat.dispose();
      parameters.dispose();
      return result;
    });
  },
  sums: ({ a, b, seed }) => run("Add", { a: drawn(seed, a, b), b: drawn(seed + 1, a, b) }, {}),
  "layer norm": ({ a, b, seed }) => {
    const [x, gain, bias] = [drawn(seed, a, b), drawn(seed + 1, b), drawn(seed + 2, b)] as [tf.Tensor, tf.Tensor, tf.Tensor];
    const [y, statistics] = run("WeftLayerNorm", { x, gain, bias }, { epsilon: 1e-5 }) as [tf.Tensor, tf.Tensor];
    const gradient = run("WeftLayerNormGradient", { dy: drawn(seed + 3, a, b), x, gain, statistics }, { hasBias: true });
    return [y, statistics, ...gradient];
  },
  "cross-entropy": ({ a, b, seed }) => {
    const given = { logits: drawn(seed, a, b), targets: symbols(seed, a, b), weights: tf.ones([a]) };
    const [loss, logSums] = run("WeftCrossEntropy", given, { predictions: 1 }) as [tf.Tensor, tf.Tensor];
    return [loss, logSums, ...run("WeftCrossEntropyGradient", { dy: tf.scalar(0.5), logSums, ...given }, { predictions: 1 })];
  },
  attention: ({ a, b, c, seed }) => {
    const [heads, length, windows] = [1 + (a % 5), 1 + b, 1 + (c % 4)];
    const [tokens, width] = [windows * length, 5 * heads];
    const qkv = drawn(seed, tokens, 3 * width);
    const [y, logSums] = run("WeftAttention", { qkv }, { heads, length }) as [tf.Tensor, tf.Tensor];
    return [y, logSums, ...run("WeftAttentionGradient", { dy: drawn(seed + 1, tokens, width), y, qkv, logSums }, { heads, length })];
  },
  "the recurrence of an LSTM": ({ a, b, c, seed }) => {
    const [rows, length, hidden] = [1 + (a % 9), 1 + (c % 6), b];
    const tokens = rows * length;
    const recurrent = drawn(seed, 4 * hidden, hidden);
    const states = run("WeftLstm", { projected: drawn(seed + 1, tokens, 4 * hidden), recurrent }, { length });
    const [, , cells, gates] = states as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    return [...states, ...run("WeftLstmGradient", { dy: drawn(seed + 2, tokens, hidden), cells, gates, recurrent }, { length })];
  },
  convolution: ({ a, b, c, seed }) => {
    const [images, channels, out, kernel, side] = [1 + (a % 19), 1 + (b % 3), 1 + (c % 5), [1, 3, 5][c % 3] as number, 2 + (b % 9)];
    const given = { x: drawn(seed, images, channels, side, side), weight: drawn(seed + 1, out, channels, kernel, kernel) };
    const [y, chosen] = run("WeftConvolutionBlock", { ...given, bias: drawn(seed + 2, out) }, {}) as [tf.Tensor, tf.Tensor];
    const dy = drawn(seed + 3, ...y.shape);
    return [
      y,
      chosen,
      ...[true, false].flatMap((inputIsData) => run("WeftConvolutionBlockGradient", { dy, ...given, chosen }, { inputIsData })),
    ];
  },
};

const CASES: readonly Extents[] = [
  { a: 1, b: 1, c: 1, seed: 1 },
  { a: 70, b: 130, c: 33, seed: 2 },
  { a: 131, b: 67, c: 260, seed: 3 },
  ...fc.sample(
    fc.record({
      a: fc.integer({ min: 1, max: 90 }),
      b: fc.integer({ min: 1, max: 90 }),
      c: fc.integer({ min: 1, max: 40 }),
      seed: fc.nat(1000),
    }),
    { numRuns: 12, seed: 7 },
  ),
];

/** The bits of every kernel at every case, on so many threads. */
async function bitsOn(count: number): Promise<ReadonlyMap<string, readonly Int32Array[]>> {
  const backend = await registerWasmBackend(count === 1 ? undefined : threadsOf(count));
  expect(backend.instance.threads).toBe(count);
  const found = new Map(
    Object.entries(KERNELS).map(([name, compute]) => [
      name,
      CASES.flatMap((extents) => {
        const bits: Int32Array[] = [];
        tf.tidy(() => {
          for (const tensor of compute(extents, backend)) bits.push(new Int32Array(tensor.dataSync<"float32">().buffer));
        });
        return bits;
      }),
    ]),
  );
  unregisterWasmBackend(backend);
  return found;
}

describe("kernels on several threads", { timeout: 120_000 }, () => {
  it.each([2, 3])("%i threads give the bits of one, for every kernel", async (count) => {
    const [alone, together] = [await bitsOn(1), await bitsOn(count)];
    for (const [name, expected] of alone) expect(together.get(name), name).toEqual(expected);
  });
});

/** Threads that can be watched and ended behind everybody's back. */
function watched(count: number): { readonly options: ThreadOptions; readonly kill: () => void; readonly ended: () => readonly boolean[] } {
  const members: { ended: boolean; terminate(): void }[] = [];
  return {
    options: {
      ...threadsOf(count),
      start(given, tell) {
        const thread = startKernelThread(given, (word) => {
          if (word.kind === "failed") member.ended = true;
          tell(word);
        });
        const member = { ended: false, terminate: () => thread.terminate() };
        members.push(member);
        return thread;
      },
    },
    kill: () => members[0]?.terminate(),
    ended: () => members.map(({ ended }) => ended),
  };
}

describe("threads", { timeout: 120_000 }, () => {
  const add = (backend: WasmBackend): number[] => {
    const sum = tf.add(tf.ones([64]), tf.ones([64]));
    expect(backend.instance.command("add", [16, 16, 16, 64]).shared).toBe(true);
    return [...sum.dataSync()];
  };

  it("end when the last who uses them lets go, and not before", async () => {
    const { options, ended } = watched(3);
    const backend = await registerWasmBackend(options);
    expect(await registerWasmBackend(options)).toBe(backend);
    const alone = await registerWasmBackend();
    expect(alone).not.toBe(backend);
    unregisterWasmBackend(alone);
    await tf.setBackend(backend.name);
    unregisterWasmBackend(backend);
    expect(add(backend)).toEqual(Array.from({ length: 64 }, () => 2));
    expect(ended()).toEqual([false, false]);
    unregisterWasmBackend(backend);
    await expect.poll(ended, { timeout: 60_000 }).toEqual([true, true]);
  });

  it("sleep while there is nothing to compute: an engine that rests between its steps rests on every processor", async () => {
    let memory: WebAssembly.Memory | null = null;
    const { start } = threadsOf(3);
    const instance = await openInstance({
      ...threadsOf(3),
      start: (given, tell) => {
        memory = given.memory;
        return start(given, tell);
      },
    });
    expect(instance.threads).toBe(3);
    const turn = new Int32Array((memory as unknown as WebAssembly.Memory).buffer, TURN_AT, 1);
    // Whoever is woken without need goes to sleep again.
    for (let repeat = 0; repeat < 2; repeat++) await expect.poll(() => Atomics.notify(turn, 0), { timeout: 60_000 }).toBe(2);
    instance.close();
  });

  it("are done without where they fail to start, start too late, or say so", async () => {
    const refusals: readonly ThreadOptions["start"][] = [
      () => {
        throw new Error("no worker here");
      },
      () => ({ terminate: () => undefined }),
      (_, tell) => {
        queueMicrotask(() => tell({ kind: "failed", message: "it could not be loaded" }));
        return { terminate: () => undefined };
      },
    ];
    for (const start of refusals) expect((await openInstance({ count: 2, start, startMs: 50 })).threads).toBe(1);
  });

  it("are not trusted with anything where they do not compute what one thread computes", async () => {
    const idle: ThreadOptions["start"] = (given, tell) => {
      const elsewhere = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
      new Uint8Array(elsewhere.buffer).set(new Uint8Array(given.memory.buffer.slice(0)));
      // Says that it is ready, and is where nobody meets it.
      return startKernelThread({ ...given, memory: elsewhere }, tell);
    };
    const { threads } = await openInstance({ ...threadsOf(2), start: idle, patienceMs: 100 });
    expect(threads).toBe(1);
  });

  it("that are lost are told of, nothing is computed with the others, and from then on one thread computes", async () => {
    const { options, kill, ended } = watched(3);
    const backend = await registerWasmBackend(options);
    kill();
    expect(await backend.instance.lost).toMatch(/ended with code/);
    expect(() => add(backend)).toThrow(/ended with code/);
    await expect.poll(ended, { timeout: 60_000 }).toEqual([true, true]);
    unregisterWasmBackend(backend);
    const next = await registerWasmBackend(options);
    expect(next).not.toBe(backend);
    expect(next.instance.threads).toBe(1);
    expect([...tf.add(tf.ones([64]), tf.ones([64])).dataSync()]).toEqual(Array.from({ length: 64 }, () => 2));
    unregisterWasmBackend(next);
  });
});
