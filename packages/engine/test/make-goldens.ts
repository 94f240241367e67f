// Writes src/self-test-goldens.ts from the f64 reference: npx tsx packages/engine/test/make-goldens.ts
import { writeFileSync } from "node:fs";
import type { ModelSpec } from "@weft/protocol";
import { reference } from "../../models/test/reference-models.ts";
import { SELF_TEST_CASES } from "../src/self-test-cases.ts";

/** Gradient and loss of a case in f64, rounded to f32 at the end. */
export function computeGolden(kind: ModelSpec["kind"]): Float32Array {
  const { model, weights, batch } = SELF_TEST_CASES[kind];
  const { gradientSum, lossSum } = reference(model, weights(), batch());
  return Float32Array.from([...gradientSum, lossSum]);
}

/** The file's text: base64 in lines of 120, little-endian. */
export function goldensFile(): string {
  const entries = (Object.keys(SELF_TEST_CASES) as ModelSpec["kind"][]).map((kind) => {
    const base64 = Buffer.from(computeGolden(kind).buffer).toString("base64");
    const lines = base64.match(/.{1,120}/g) ?? [];
    return `  ${kind}: [\n${lines.map((line) => `    "${line}",`).join("\n")}\n  ],`;
  });
  return `// Made by test/make-goldens.ts: gradient and, behind it, loss of each self-test case, from the f64 reference. f32, little-endian, base64.
import type { ModelSpec } from "@weft/protocol";

const GOLDENS: Record<ModelSpec["kind"], readonly string[]> = {
${entries.join("\n")}
};

export function goldenOf(kind: ModelSpec["kind"]): Float32Array {
  const bytes = Uint8Array.from(atob(GOLDENS[kind].join("")), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}
`;
}

if (process.argv[1]?.endsWith("make-goldens.ts") === true)
  writeFileSync(new URL("../src/self-test-goldens.ts", import.meta.url), goldensFile());
