// Compiles assembly/ to the modules of src/: node packages/wasm/build.mjs. Names of functions are left out, so that the bytes depend on nothing
// but the source and the compiler's version.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const HERE = dirname(fileURLToPath(import.meta.url));
const OPTIONS = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--enable", "simd", "--importMemory", "--initialMemory", "1"];

/** Entries of assembly/, and where their modules stand. */
export const MODULES = [
  { entry: "index.ts", file: "src/module.ts", about: "the kernels" },
  { entry: "fold.ts", file: "src/fold/module.ts", about: "the folding of updates" },
];

/** An entry's module, as bytes. Throws what the compiler said where it failed. */
export async function compile(entry) {
  let bytes = null;
  const { error, stderr } = await asc.main([entry, "--outFile", "module.wasm", ...OPTIONS], {
    readFile: (name) => {
      try {
        return readFileSync(join(HERE, "assembly", name), "utf8");
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => {
      if (name === "module.wasm") bytes = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || bytes === null) throw new Error(stderr.toString());
  return Buffer.from(bytes);
}

/** The text of a module: base64 in lines of 120. */
function moduleFile(bytes, about) {
  const lines = bytes.toString("base64").match(/.{1,120}/g);
  return `// Made by build.mjs from assembly/: ${about} as a WebAssembly module, base64.
const MODULE: readonly string[] = [
${lines.map((line) => `  "${line}",`).join("\n")}
];

export const moduleBytes = (): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(MODULE.join("")), (character) => character.charCodeAt(0));
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { entry, file, about } of MODULES) {
    const bytes = await compile(entry);
    writeFileSync(join(HERE, file), moduleFile(bytes, about));
    console.log(`${file}: ${bytes.length} bytes`);
  }
}
