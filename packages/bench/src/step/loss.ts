// An engine that steps without a pause in the page, and notes each step, for rows of bench `step` on what the loss of a device costs.
import { createEngine, type Engine } from "@weft/engine";
import { initialWeights, probeBatch } from "@weft/models";
import type { ModelSpec } from "@weft/protocol";

export interface LossStep {
  readonly beganMs: number;
  readonly endedMs: number;
  readonly backend: string;
  /** Norm of the difference from the first step's gradient over its norm: the same batch and weights each time. */
  readonly relativeError: number;
}
const MODEL: ModelSpec = { kind: "mlp", inputs: 64, hidden: [64, 32], classes: 10 };
const ROWS = 32;

let engine: Engine | null = null;
let first: Float32Array | null = null;
const steps: LossStep[] = [];
let going = false;
let fault: string | null = null;

function errorOf(gradient: Float32Array): number {
  if (first === null) {
    first = gradient;
    return 0;
  }
  let [difference, norm] = [0, 0];
  for (const [at, value] of first.entries()) {
    difference += ((gradient[at] as number) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}

async function stepOn(): Promise<void> {
  const running = engine as Engine;
  while (going) {
    const beganMs = performance.now();
    const { gradientSum } = await running.step(probeBatch(MODEL, ROWS, ROWS, 3));
    const { backend } = running.device;
    steps.push({ beganMs, endedMs: performance.now(), backend, relativeError: errorOf(gradientSum) });
    // Steps on WASM never wait for anything: whoever asks how far they are must get a turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

export async function begin(): Promise<void> {
  engine = await createEngine({ preference: "webgpu", allowSoftwareGpu: true });
  await engine.load(MODEL, ROWS);
  await engine.setWeights(initialWeights(MODEL, 3));
  going = true;
  void stepOn().catch((error: unknown) => {
    fault = String(error);
  });
}
/** The steps so far; throws what ended them. */
export function soFar(): readonly LossStep[] {
  if (fault !== null) throw new Error(fault);
  return steps;
}
export function end(): void {
  going = false;
}
Object.assign(globalThis, { weftLoss: { begin, soFar, end } });
