// Which tiling a device uses for a matrix product of some extents. Starts with the one kernel that serves all of them; measurements put
// others in its place (matmul-tuner.ts). Knows nothing of measuring.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { dividesByFour, type Extents, type Layout, type Tiling } from "./matmul-wide.ts";

export interface Shape extends Extents, Layout {
  /** In half precision. */
  readonly packed?: boolean;
}

/** Extents within a factor of two of each other are one class: so are the tilings that suit them. */
export function shapeClass({ batch, rows, columns, inner, transposeA, transposeB, packed }: Shape): string {
  const rounded = (extent: number): number => 2 ** Math.ceil(Math.log2(Math.max(extent, 16)));
  const layout = `${transposeA ? "T" : "N"}${transposeB ? "T" : "N"}`;
  const extents = [batch === 1 ? 1 : "many", rounded(rows), rounded(columns), rounded(inner)];
  return [layout, ...extents, ...(packed === true ? ["f16"] : [])].join(" ");
}

export class MatmulChoices {
  readonly #chosen = new Map<string, Tiling | null>();
  readonly #wanted = new Map<string, Shape>();

  /** Null: the kernel for any extents. */
  tilingFor(shape: Shape): Tiling | null {
    if (!dividesByFour(shape, shape)) return null;
    const known = this.#chosen.get(shapeClass(shape));
    if (known === undefined) this.#wanted.set(shapeClass(shape), shape);
    return known ?? null;
  }

  choose(className: string, tiling: Tiling | null): void {
    this.#chosen.set(className, tiling);
    this.#wanted.delete(className);
  }

  /** One shape of each class that was asked for and is not decided. */
  get wanted(): ReadonlyMap<string, Shape> {
    return this.#wanted;
  }

  /** Class and name of what was decided, for people. */
  get chosen(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#chosen].map(([className, tiling]) => [className, tiling?.name ?? "any"]));
  }
}

const CHOICES = new WeakMap<WebGPUBackend, MatmulChoices>();

export function choicesOf(backend: WebGPUBackend): MatmulChoices {
  const known = CHOICES.get(backend);
  if (known !== undefined) return known;
  const made = new MatmulChoices();
  CHOICES.set(backend, made);
  return made;
}
