// jax-js in bench `step`: forward, backward and optimiser in one compiled function, as its documentation has it. Every array is consumed by
// the function it is passed to; `ref` keeps it.
import { defaultDevice, init, jit, numpy as np, valueAndGrad } from "@jax-js/jax";
import { batchOf, draws, type EngineName, registry, type StepCase, type Trainer } from "./contender.ts";
import { canTrain, lossOf, shapesOf, type Weights } from "./jax-models.ts";

const BETAS = [0.9, 0.999] as const;
const LEARNING_RATE = 1e-3;

async function trainer(device: "webgpu" | "wasm", given: StepCase): Promise<Trainer | null> {
  const { model, rows } = given;
  if (!canTrain(model)) return null;
  if (!(await init(device)).includes(device)) throw new Error(`jax-js has no ${device} here`);
  defaultDevice(device);
  const draw = draws(5);
  const shapes = shapesOf(model);
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
    const [loss, gradients] = valueAndGrad((p: Weights) => lossOf(model, rows, p, inputs, targets))(w) as unknown as [np.Array, Weights];
    const [nextW, nextM, nextV]: [Weights, Weights, Weights] = [{}, {}, {}];
    for (const name of names) {
      const g = gradients[name] as np.Array;
      if (model.kind === "cnn") {
        // Plain gradient descent, by the rate alone.
        nextW[name] = (kept[name] as np.Array).sub(g.mul(LEARNING_RATE));
        [nextM[name], nextV[name]] = [m[name] as np.Array, v[name] as np.Array];
        continue;
      }
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
      const dtype = batch.inputs instanceof Int32Array ? np.int32 : np.float32;
      const inputs = np.array(batch.inputs, { dtype }).reshape([rows, -1]);
      const targets = np.array(batch.targets, { dtype: np.int32 }).reshape(model.kind === "cnn" ? [rows] : [rows, -1]);
      const rate = np.array(LEARNING_RATE / (1 - BETAS[0] ** steps));
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
