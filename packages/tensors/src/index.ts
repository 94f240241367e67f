export * from "./batch.ts";
export * from "./bytes.ts";
export * from "./codec.ts";
export * from "./codecs.ts";
export * from "./f16.ts";
export * from "./layout.ts";
export * from "./random.ts";
export * from "./reduce.ts";
