// A model of any size for benches that move its updates and train nothing: an mlp over the digits with two hidden layers of one width.
import type { ModelSpec } from "@weft/protocol";

export const wideMlp = (width: number): ModelSpec => ({ kind: "mlp", inputs: 64, hidden: [width, width], classes: 10 });
export const wideMlpParameters = (width: number): number => 64 * width + width + width * width + width + 10 * width + 10;
