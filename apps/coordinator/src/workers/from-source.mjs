// Starts a worker whose entry is TypeScript, in development and tests: Node 20 reads none by itself. The built bundle does not use it.
import { workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
// A process is told its entry as its first argument.
await import(workerData?.entry ?? process.argv[2]);
