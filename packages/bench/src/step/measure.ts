// Measures engines by turns, in the page: a turn is one step of each, so that what else the machine does falls on all of them alike.

import type { EngineName, Registry, StepCase, Trainer, Work } from "./contender.ts";
import type { Counts } from "./counters.ts";

/** Each engine's, from its frame. */
const registries = (): readonly Registry[] =>
  [...document.querySelectorAll("iframe")].map(({ contentWindow }) => {
    const { weftStep } = contentWindow as unknown as { readonly weftStep?: Registry };
    if (weftStep === undefined) throw new Error("a frame holds no engine");
    return weftStep;
  });

export interface StepFigures {
  readonly engine: EngineName;
  /** Null: it cannot train this model. */
  readonly figures: {
    readonly dispatches: number;
    readonly submits: number;
    readonly maps: number;
    /** Bytes in GPU buffers, or as the engine itself counts them; null: unknown. */
    readonly heldBytes: number | null;
    /** The same after as many steps more as were measured: what grows is a leak. */
    readonly heldBytesLater: number | null;
    readonly scriptMs: number;
    readonly totalMs: number;
    readonly losses: readonly number[];
  } | null;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

interface Running {
  readonly trainer: Trainer;
  readonly counters: Registry["counters"];
  /** As the engine says, or what was added to the GPU's buffers since it began. */
  readonly heldBytes: () => number | null;
  readonly script: number[];
  readonly total: number[];
  readonly losses: number[];
  calls: Counts | null;
  heldFirst: number | null;
}

async function turn(running: Running): Promise<void> {
  const before = running.counters.read();
  const from = performance.now();
  const pending = running.trainer.step();
  running.script.push(performance.now() - from);
  running.losses.push(await pending);
  running.total.push(performance.now() - from);
  const after = running.counters.read();
  running.calls = {
    dispatches: after.dispatches - before.dispatches,
    submits: after.submits - before.submits,
    maps: after.maps - before.maps,
  };
}

/** Medians over `turns` turns after `warm` that do not count. */
export async function measureSteps(
  given: StepCase,
  { engines, warm, turns }: { readonly engines: readonly EngineName[]; readonly warm: number; readonly turns: number },
): Promise<readonly StepFigures[]> {
  const all: { readonly engine: EngineName; readonly running: Running | null }[] = [];
  for (const { steps, counters } of registries())
    for (const contender of steps.filter(({ name }) => engines.includes(name))) {
      const base = counters.heldBytes();
      const trainer = await contender.trainer(given);
      if (trainer === null) {
        all.push({ engine: contender.name, running: null });
        continue;
      }
      const onGpu = contender.name.endsWith("webgpu");
      const held = (): number | null => (onGpu ? counters.heldBytes() - base : trainer.heldBytes());
      const running: Running = { trainer, counters, heldBytes: held, script: [], total: [], losses: [], calls: null, heldFirst: null };
      for (let step = 0; step < warm; step++) await turn(running);
      running.heldFirst = held();
      running.script.length = 0;
      running.total.length = 0;
      all.push({ engine: contender.name, running });
    }
  for (let at = 0; at < turns; at++) for (const { running } of all) if (running !== null) await turn(running);
  const figures = all.map(({ engine, running }): StepFigures => {
    if (running === null) return { engine, figures: null };
    const { calls, script, total, losses, heldFirst } = running;
    return {
      engine,
      figures: {
        ...(calls ?? { dispatches: 0, submits: 0, maps: 0 }),
        heldBytes: heldFirst,
        heldBytesLater: running.heldBytes(),
        scriptMs: median(script),
        totalMs: median(total),
        losses,
      },
    };
  });
  for (const { running } of all) running?.trainer.dispose();
  return figures;
}

export interface TimeFigures {
  readonly engine: EngineName;
  readonly ms: number;
}

/** Medians. All are ready before each is timed, so that nothing that another left for the GPU's process to do falls into its time. */
async function byTurns(made: readonly (Work & { readonly engine: EngineName })[], turns: number): Promise<readonly TimeFigures[]> {
  const times = made.map((): number[] => []);
  const warm = 2;
  for (let at = -warm; at < turns; at++)
    for (const [index, { run }] of made.entries()) {
      for (const { ready } of made) await ready();
      const from = performance.now();
      await run();
      if (at >= 0) times[index]?.push(performance.now() - from);
    }
  for (const { dispose } of made) dispose();
  return made.map(({ engine }, index) => ({ engine, ms: median(times[index] ?? []) }));
}

export async function measureMatmul(n: number, transposeA: boolean, transposeB: boolean, turns: number): Promise<readonly TimeFigures[]> {
  const made = [];
  for (const contender of registries().flatMap(({ matmuls }) => matmuls))
    made.push({ engine: contender.name, ...(await contender.product(n, transposeA, transposeB)) });
  return byTurns(made, turns);
}

export async function measureReadBack(tensors: number, size: number, turns: number): Promise<readonly TimeFigures[]> {
  const made = [];
  for (const contender of registries().flatMap(({ readBacks }) => readBacks))
    made.push({ engine: contender.name, ...(await contender.readBack(tensors, size)) });
  return byTurns(made, turns);
}

Object.assign(globalThis, { weftMeasure: { measureSteps, measureMatmul, measureReadBack } });
