// What is remembered of a device from one visit to the next: which kernels it compiles, computes rightly and runs fastest. A port; a page
// gives one that lasts, tests and machines without storage one that does not.

/** Small strings under small keys. An implementation that cannot read answers null, and one that cannot write forgets: neither may fail. */
export interface KernelMemory {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
}

export function forgetfulMemory(): KernelMemory {
  const values = new Map<string, string>();
  return {
    get: (key) => Promise.resolve(values.get(key) ?? null),
    set: (key, value) => {
      values.set(key, value);
      return Promise.resolve();
    },
  };
}

/** Names an adapter among others as well as the platform lets it be named. */
export const adapterKey = ({ vendor, architecture, device, description }: GPUAdapterInfo): string =>
  [vendor, architecture, device, description].join("|").slice(0, 200);
