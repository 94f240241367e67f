// Inner products of all pairs of vectors, summed block by block in one order: distances between updates then cost nothing more, however
// often a rule asks for them.

export class Gram {
  readonly #count: number;
  readonly #products: Float64Array;

  constructor(count: number) {
    this.#count = count;
    this.#products = new Float64Array(count * count);
  }

  /** The next block of every vector. */
  add(blocks: readonly Float32Array[]): void {
    for (let row = 0; row < this.#count; row++)
      for (let column = row; column < this.#count; column++) {
        const left = blocks[row] as Float32Array;
        const right = blocks[column] as Float32Array;
        let sum = 0;
        for (let at = 0; at < left.length; at++) sum += (left[at] as number) * (right[at] as number);
        this.#products[row * this.#count + column] = (this.#products[row * this.#count + column] as number) + sum;
      }
  }

  product(left: number, right: number): number {
    return this.#products[Math.min(left, right) * this.#count + Math.max(left, right)] as number;
  }

  /** Squared distance of two vectors; never below 0. */
  squaredDistance(left: number, right: number): number {
    return Math.max(0, this.product(left, left) - 2 * this.product(left, right) + this.product(right, right));
  }

  /** Squared length of the combination of all vectors by `coefficients`; never below 0. */
  squaredLength(coefficients: readonly number[]): number {
    let sum = 0;
    for (let row = 0; row < this.#count; row++)
      for (let column = 0; column < this.#count; column++)
        sum += (coefficients[row] as number) * (coefficients[column] as number) * this.product(row, column);
    return Math.max(0, sum);
  }

  /** Squared distance of vector `index` from the combination of all vectors by `coefficients`; never below 0. */
  squaredDistanceFrom(index: number, coefficients: readonly number[]): number {
    return this.squaredLength(coefficients.map((coefficient, other) => (other === index ? 1 - coefficient : -coefficient)));
  }
}
