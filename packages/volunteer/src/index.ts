export * from "./ports.ts";
export * from "./snapshot.ts";
