// The weights of an assignment: by the deltas that lead to them from weights that are held, where that is cheaper and right; else whole.
// Believes them only by their hash. Knows no engine and no state machine.
import type { Assignment, Sha256 } from "@weft/protocol";
import { applyDelta, deltaBytes, f32FromBytes, f32ToBytes } from "@weft/tensors";
import { BlobFault } from "./blobs.ts";
import type { BlobSource, Hash } from "./ports.ts";

/** `failed-deltas`: one was missing or malformed, or they led to other weights than those named; the snapshot is fetched instead. */
export type WeightsWay = "snapshot" | "deltas" | "failed-deltas";

interface Held {
  readonly sha256: Sha256;
  readonly values: Float32Array;
}

export class WeightsSource {
  readonly #blobs: BlobSource;
  readonly #hash: Hash;
  readonly #onWay: (way: WeightsWay) => void;
  #held: Held | null = null;

  constructor(blobs: BlobSource, hash: Hash, onWay: (way: WeightsWay) => void) {
    this.#blobs = blobs;
    this.#hash = hash;
    this.#onWay = onWay;
  }

  /** `holds`: deltas to come may begin here, so the values are kept. They must not be changed. Throws a BlobFault. */
  async get(assignment: Pick<Assignment, "weights" | "deltas">, holds: boolean): Promise<Float32Array> {
    const { sha256, sizeBytes } = assignment.weights;
    const held = this.#held;
    if (held?.sha256 === sha256) return held.values;
    let values = held === null ? null : await this.#byDeltas(held, assignment);
    if (values === null) {
      values = f32FromBytes(await this.#blobs.get(sha256, sizeBytes));
      this.#onWay("snapshot");
    }
    this.#held = holds ? { sha256, values } : null;
    return values;
  }

  forget(): void {
    this.#held = null;
  }

  /** Null where no deltas begin at the weights held, or they are not cheaper, or fail. */
  async #byDeltas(
    { sha256, values }: Held,
    { weights, deltas = [] }: Pick<Assignment, "weights" | "deltas">,
  ): Promise<Float32Array | null> {
    const first = deltas.findIndex(({ base }) => base === sha256);
    const way = first < 0 ? [] : deltas.slice(first).map(({ delta }) => delta);
    if (way.length === 0 || way.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) >= weights.sizeBytes) return null;
    const isOfSize = weights.sizeBytes === 4 * values.length && way.every(({ sizeBytes }) => sizeBytes === deltaBytes(values.length));
    const next = isOfSize ? await this.#applied(values, way) : null;
    const isRight = next !== null && (await this.#hash(f32ToBytes(next))) === weights.sha256;
    this.#onWay(isRight ? "deltas" : "failed-deltas");
    return isRight ? next : null;
  }

  async #applied(values: Float32Array, way: readonly Assignment["weights"][]): Promise<Float32Array | null> {
    let fetched: readonly Uint8Array[];
    try {
      fetched = await Promise.all(way.map(({ sha256, sizeBytes }) => this.#blobs.get(sha256, sizeBytes)));
    } catch (error) {
      if (error instanceof BlobFault) return null;
      throw error;
    }
    const next = values.slice();
    return fetched.every((bytes) => applyDelta(next, bytes) === null) ? next : null;
  }
}
