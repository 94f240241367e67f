// Counts what a piece of work asks of WebGPU.

const WATCHED = {
  dispatches: [GPUComputePassEncoder.prototype, "dispatchWorkgroups"],
  submits: [GPUQueue.prototype, "submit"],
  maps: [GPUBuffer.prototype, "mapAsync"],
  bindGroups: [GPUDevice.prototype, "createBindGroup"],
  buffers: [GPUDevice.prototype, "createBuffer"],
  pipelines: [GPUDevice.prototype, "createComputePipeline"],
  asyncPipelines: [GPUDevice.prototype, "createComputePipelineAsync"],
} as const;
export type Counts = Record<keyof typeof WATCHED, number>;

/** A read-back asks for news so: see mapped.ts of @weft/webgpu. */
const submitsNothing = ([buffers]: readonly unknown[]): boolean => (buffers as readonly unknown[]).length === 0;

/** Calls made while `work` runs. Not for two at a time. */
export async function countCalls(work: () => Promise<void>): Promise<Counts> {
  const names = Object.keys(WATCHED) as (keyof Counts)[];
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Counts;
  const restore = names.map((name) => {
    const [prototype, method] = WATCHED[name] as unknown as [Record<string, (...args: unknown[]) => unknown>, string];
    const original = prototype[method] as (...args: unknown[]) => unknown;
    prototype[method] = function (this: unknown, ...args: unknown[]) {
      if (name !== "submits" || !submitsNothing(args)) counts[name]++;
      return original.apply(this, args);
    };
    return () => {
      prototype[method] = original;
    };
  });
  try {
    await work();
  } finally {
    for (const undo of restore) undo();
  }
  return counts;
}
