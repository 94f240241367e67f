// Compares fixed gradients of a backend with stored ones. Devices that return zeros, NaN or garbage exist; they must not train.
import type { ModelSpec, Precision } from "@weft/protocol";
import type { ParameterLayout, StepResult } from "@weft/tensors";
import type { Backend } from "./backend.ts";
import { Computation } from "./computation.ts";
import type { SelfTestResult } from "./engine.ts";
import { SELF_TEST_CASES } from "./self-test-cases.ts";
import { goldenOf } from "./self-test-goldens.ts";

/** Relative error (norm of the difference over norm) allowed to each parameter. Honest f32 backends stay near 1e-6; WGSL allows its
 *  divisions, exponentials and square roots a few units in the last place, which this leaves ample room for, and garbage none. */
export const SELF_TEST_TOLERANCE = 1e-4;
/** The same for steps in half precision: both factors of a product are off by up to 2^-11 of themselves, and what layers make of that is some
 *  thousandths of a gradient; garbage is off by its whole size. */
export const HALF_TOLERANCE = 0.02;
/** What stands for an infinite or undefined error in JSON. */
const BEYOND = 1e9;

/** Checks models of these kinds. Never rejects for wrong numbers; it does for a lost device. */
export async function runSelfTest(
  backend: Backend,
  kinds: readonly ModelSpec["kind"][],
  precision: Precision = "f32",
): Promise<SelfTestResult> {
  const tolerance = precision === "f16" ? HALF_TOLERANCE : SELF_TEST_TOLERANCE;
  const computations = kinds.map(
    (kind) => new Computation(backend, SELF_TEST_CASES[kind].model, SELF_TEST_CASES[kind].batch().rows, precision),
  );
  try {
    for (const computation of computations) await computation.prepare();
    let relativeError = 0;
    for (const [index, kind] of kinds.entries()) {
      const computation = computations[index] as Computation;
      computation.setWeights(SELF_TEST_CASES[kind].weights());
      const found = judge(kind, computation.layout, await computation.step(SELF_TEST_CASES[kind].batch()), goldenOf(kind), tolerance);
      if (found.fault !== null)
        return { passed: false, relativeError: found.relativeError, detail: `${backend.info.backend}: ${found.fault}` };
      relativeError = Math.max(relativeError, found.relativeError);
    }
    return { passed: true, relativeError, detail: `Gradients of ${kinds.join(", ")} agree with the stored ones` };
  } finally {
    for (const computation of computations) computation.dispose();
  }
}

/** Checks as `runSelfTest` does. Where that fails, finds the optional kernel without which it passes, or gives up all of them; those stay
 *  struck on this device and their names are returned, none where even that does not help. */
export async function testAndStrike(
  backend: Backend,
  kinds: readonly ModelSpec["kind"][],
  alreadyStruck: ReadonlySet<string>,
): Promise<{ readonly result: SelfTestResult; readonly struck: readonly string[] }> {
  const { strike, restore } = backend.optional;
  const names = backend.optional.names.filter((name) => !alreadyStruck.has(name));
  const attempt = async (without: readonly string[]): Promise<SelfTestResult> => {
    for (const name of without) strike(name);
    const result = await runSelfTest(backend, kinds).catch(uncompiled);
    if (!result.passed) for (const name of without) restore(name);
    return result;
  };
  const first = await attempt([]);
  if (first.passed) return { result: first, struck: [] };
  for (const struck of [...names.map((name) => [name]), ...(names.length > 1 ? [names] : [])]) {
    const result = await attempt(struck);
    if (result.passed) return { result, struck };
  }
  return { result: first, struck: [] };
}

/** Whether steps in half precision are right for models of this kind. As `runSelfTest`, it rejects for a lost device alone. */
export const testHalf = (backend: Backend, kind: ModelSpec["kind"]): Promise<SelfTestResult> =>
  runSelfTest(backend, [kind], "f16").catch(uncompiled);

/** A shader that the device does not compile is a failed test; any other fault is not ours to judge. */
function uncompiled(error: unknown): SelfTestResult {
  if (!(error instanceof Error) || error.name !== "GPUPipelineError") throw error;
  return { passed: false, relativeError: BEYOND, detail: `A shader does not compile: ${error.message}` };
}

/** `golden` holds the gradient and, behind it, the loss. */
export function judge(
  kind: string,
  layout: ParameterLayout,
  { gradientSum, lossSum }: StepResult,
  golden: Float32Array,
  tolerance = SELF_TEST_TOLERANCE,
): { readonly relativeError: number; readonly fault: string | null } {
  let worst = compare([lossSum], golden.subarray(layout.size));
  let where = "loss";
  for (const { name, offset, size } of layout.parameters) {
    const error = compare(gradientSum.subarray(offset, offset + size), golden.subarray(offset, offset + size));
    if (error > worst) [worst, where] = [error, `gradient of ${name}`];
  }
  if (worst <= tolerance) return { relativeError: worst, fault: null };
  const zeros = gradientSum.every((value) => value === 0);
  const how = zeros
    ? "all gradients are zero"
    : worst >= BEYOND
      ? `the ${where} is not finite`
      : `the ${where} is off by ${worst.toExponential(1)} of its size`;
  return { relativeError: worst, fault: `${kind}: ${how}` };
}

function compare(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < golden.length; index++) {
    difference += ((actual[index] as number) - (golden[index] as number)) ** 2;
    norm += (golden[index] as number) ** 2;
  }
  const error = Math.sqrt(difference / norm);
  return Number.isFinite(error) ? Math.min(error, BEYOND) : BEYOND;
}
