// A worker beside the engine's: computes its part of every WASM kernel. It never comes back to its event loop; the engine's worker ends it.
import { serveKernels, type ThreadStart, type ThreadWord } from "@weft/engine/kernel-thread";

interface Port {
  postMessage(word: ThreadWord): void;
  onmessage: ((event: MessageEvent<ThreadStart>) => void) | null;
}
const port = globalThis as unknown as Port;

port.onmessage = ({ data }) => void serveKernels(data, (word) => port.postMessage(word));
