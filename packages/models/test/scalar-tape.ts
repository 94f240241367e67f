// Reverse-mode differentiation of single f64 numbers: slow, obvious, and sharing nothing with the engines that it judges.

/** A number on the tape, by its index. */
export type Scalar = number;

export class Tape {
  readonly #values: number[] = [];
  readonly #parents: number[] = [];
  readonly #slopes: number[] = [];

  /** A number without a history. */
  leaf(value: number): Scalar {
    return this.#push(value, -1, 0, -1, 0);
  }
  value(x: Scalar): number {
    return this.#values[x] as number;
  }
  add(a: Scalar, b: Scalar): Scalar {
    return this.#push(this.value(a) + this.value(b), a, 1, b, 1);
  }
  mul(a: Scalar, b: Scalar): Scalar {
    return this.#push(this.value(a) * this.value(b), a, this.value(b), b, this.value(a));
  }
  scale(a: Scalar, factor: number): Scalar {
    return this.#push(this.value(a) * factor, a, factor, -1, 0);
  }
  /** f(a) with slope f'(a). */
  apply(a: Scalar, value: number, slope: number): Scalar {
    return this.#push(value, a, slope, -1, 0);
  }
  exp(a: Scalar): Scalar {
    const value = Math.exp(this.value(a));
    return this.apply(a, value, value);
  }
  log(a: Scalar): Scalar {
    return this.apply(a, Math.log(this.value(a)), 1 / this.value(a));
  }
  power(a: Scalar, exponent: number): Scalar {
    return this.apply(a, this.value(a) ** exponent, exponent * this.value(a) ** (exponent - 1));
  }
  relu(a: Scalar): Scalar {
    return this.value(a) > 0 ? this.apply(a, this.value(a), 1) : this.apply(a, 0, 0);
  }
  sum(terms: readonly Scalar[]): Scalar {
    return terms.reduce((total, term) => this.add(total, term), this.leaf(0));
  }
  dot(a: readonly Scalar[], b: readonly Scalar[]): Scalar {
    return this.sum(a.map((x, index) => this.mul(x, b[index] as Scalar)));
  }

  /** Gradient of `output` with respect to the leaves 0 to `leaves` - 1. */
  gradient(output: Scalar, leaves: number): Float64Array {
    const gradients = new Float64Array(this.#values.length);
    gradients[output] = 1;
    for (let node = output; node >= 0; node--) {
      const gradient = gradients[node] as number;
      if (gradient === 0) continue;
      for (let side = 0; side < 2; side++) {
        const parent = this.#parents[2 * node + side] as number;
        if (parent >= 0) gradients[parent] = (gradients[parent] as number) + gradient * (this.#slopes[2 * node + side] as number);
      }
    }
    return gradients.slice(0, leaves);
  }

  #push(value: number, a: Scalar, slopeA: number, b: Scalar, slopeB: number): Scalar {
    this.#parents.push(a, b);
    this.#slopes.push(slopeA, slopeB);
    return this.#values.push(value) - 1;
  }
}

/** erf to about 1e-15: its power series near 0, the continued fraction of erfc beyond (Abramowitz and Stegun 7.1.5, 7.1.14). */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let k = 120; k >= 1; k--) fraction = k / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)));
}
