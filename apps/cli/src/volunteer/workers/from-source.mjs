// Starts a worker whose entry is TypeScript, in development and tests: Node 20 reads none by itself. The built bundle does not use it.
import { workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
await import(workerData.entry);
