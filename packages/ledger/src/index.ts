export * from "./canonical.ts";
export * from "./chain.ts";
export * from "./hash.ts";
export { type LiveOverlay, ledgerOnly } from "./projections/live.ts";
export { createRunProjection, type RunProjection, specBlobOf } from "./projections/run-projection.ts";
export { sentenceOf } from "./projections/sentences.ts";
export { type Contributor, MAX_LISTED } from "./projections/volunteer-fold.ts";
export * from "./signatures.ts";
export * from "./verify.ts";
