// jax-js in bench `step`: the GPT written as its documentation writes models, forward, backward and Adam in one compiled function. Every
// array is consumed by the function it is passed to; `ref` keeps it.
import { defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { batchOf, draws, type EngineName, type GptCase, registry, type StepCase, type Trainer } from "./contender.ts";

type Weights = Record<string, np.Array>;

const dense = (x: np.Array, p: Weights, name: string): np.Array =>
  np.matmul(x, (p[`${name}.w`] as np.Array).ref).add((p[`${name}.b`] as np.Array).ref);
const norm = (x: np.Array, p: Weights, name: string): np.Array =>
  nn
    .standardize(x, -1, { epsilon: 1e-5 })
    .mul((p[`${name}.w`] as np.Array).ref)
    .add((p[`${name}.b`] as np.Array).ref);

function gptLoss(
  { layers, heads, width, context, vocabulary }: GptCase,
  rows: number,
  p: Weights,
  inputs: np.Array,
  targets: np.Array,
): np.Array {
  const table = p.wte as np.Array;
  let x = np.take(table.ref, inputs, 0).add((p.wpe as np.Array).ref);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string): string => `h${layer}.${part}`;
    const [q, k, v] = np
      .split(dense(norm(x.ref, p, name("ln1")), p, name("qkv")), 3, -1)
      .map((third) => third.reshape([rows, context, heads, width / heads])) as [np.Array, np.Array, np.Array];
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, context, width]);
    x = x.add(dense(mixed, p, name("proj")));
    x = x.ref.add(dense(nn.gelu(dense(norm(x, p, name("ln2")), p, name("fc"))), p, name("out")));
  }
  const logits = np.matmul(norm(x, p, "lnf"), table.ref.transpose());
  for (const weight of Object.values(p)) weight.dispose();
  const hot = nn.oneHot(targets, vocabulary);
  return nn
    .logSoftmax(logits, -1)
    .mul(hot)
    .sum()
    .mul(-1 / (rows * context));
}

const BETAS = [0.9, 0.999] as const;

async function trainer(device: "webgpu" | "wasm", given: StepCase): Promise<Trainer | null> {
  const { model, rows } = given;
  if (model.kind !== "gpt") return null;
  if (!(await init(device)).includes(device)) throw new Error(`jax-js has no ${device} here`);
  defaultDevice(device);
  const draw = draws(5);
  const { layers, width, vocabulary, context } = model;
  const shapes: Record<string, number[]> = { wte: [vocabulary, width], wpe: [context, width] };
  const linear = (name: string, from: number, to: number): void => {
    shapes[`${name}.w`] = [from, to];
    shapes[`${name}.b`] = [to];
  };
  const gains = (name: string): void => {
    shapes[`${name}.w`] = [width];
    shapes[`${name}.b`] = [width];
  };
  for (let layer = 0; layer < layers; layer++) {
    gains(`h${layer}.ln1`);
    linear(`h${layer}.qkv`, width, 3 * width);
    linear(`h${layer}.proj`, width, width);
    gains(`h${layer}.ln2`);
    linear(`h${layer}.fc`, width, 4 * width);
    linear(`h${layer}.out`, 4 * width, width);
  }
  gains("lnf");
  const names = Object.keys(shapes);
  const filled = (value: (name: string, shape: number[]) => number): Weights =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => {
        const size = shape.reduce((product, extent) => product * extent, 1);
        return [name, np.array(Float32Array.from({ length: size }, () => value(name, shape))).reshape(shape)];
      }),
    );
  let weights = filled((name, shape) => (/ln\w*\.w$/.test(name) ? 1 : shape.length === 1 ? 0 : 0.04 * (draw() - 0.5)));
  let first = filled(() => 0);
  let second = filled(() => 0);
  const batch = batchOf(given);

  const update = jit((w: Weights, m: Weights, v: Weights, inputs: np.Array, targets: np.Array, rate: np.Array, root: np.Array) => {
    const kept: Weights = Object.fromEntries(names.map((name) => [name, (w[name] as np.Array).ref]));
    const [loss, gradients] = valueAndGrad((p: Weights) => gptLoss(model, rows, p, inputs, targets))(w) as unknown as [np.Array, Weights];
    const [nextW, nextM, nextV]: [Weights, Weights, Weights] = [{}, {}, {}];
    for (const name of names) {
      const g = gradients[name] as np.Array;
      const m1 = (m[name] as np.Array).mul(BETAS[0]).add(g.ref.mul(1 - BETAS[0]));
      const v1 = (v[name] as np.Array).mul(BETAS[1]).add(g.ref.mul(g).mul(1 - BETAS[1]));
      nextM[name] = m1.ref;
      nextV[name] = v1.ref;
      nextW[name] = (kept[name] as np.Array).sub(m1.mul(rate.ref).div(np.sqrt(v1).div(root.ref).add(1e-7)));
    }
    rate.dispose();
    root.dispose();
    return { loss, w: nextW, m: nextM, v: nextV };
  });

  let steps = 0;
  return {
    step() {
      defaultDevice(device);
      steps += 1;
      const inputs = np.array(batch.inputs as Int32Array<ArrayBuffer>, { dtype: np.int32 }).reshape([rows, context]);
      const targets = np.array(batch.targets, { dtype: np.int32 }).reshape([rows, context]);
      const rate = np.array(1e-3 / (1 - BETAS[0] ** steps));
      const root = np.array(Math.sqrt(1 - BETAS[1] ** steps));
      const next = update(weights, first, second, inputs, targets, rate, root);
      [weights, first, second] = [next.w, next.m, next.v];
      return next.loss.data().then(([loss]) => loss as number);
    },
    heldBytes: () => null,
    dispose() {
      for (const each of [weights, first, second]) for (const array of Object.values(each)) array.dispose();
      update.dispose();
    },
  };
}

for (const [name, device] of [
  ["jax-js webgpu", "webgpu"],
  ["jax-js wasm", "wasm"],
] as const satisfies readonly (readonly [EngineName, string])[])
  registry.steps.push({ name, trainer: (given) => trainer(device, given) });
