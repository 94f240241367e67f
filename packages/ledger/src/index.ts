export * from "./canonical.ts";
export * from "./chain.ts";
export * from "./hash.ts";
export * from "./signatures.ts";
export * from "./verify.ts";
