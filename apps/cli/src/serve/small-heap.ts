// A small nursery for a process that runs for weeks: V8 lets it grow to 32 MB in every thread as soon as messages come in bursts and never
// gives them back. What passes through the coordinator in bulk are byte arrays, which lie outside of it.
import { setFlagsFromString } from "node:v8";

/** To be called before anything else allocates: a nursery that has grown stays. */
export const keepNurserySmall = (): void => setFlagsFromString("--semi-space-growth-factor=1");
