// Compiles assembly/ to the modules of src/: node packages/wasm/build.mjs. Names of functions are left out, so that the bytes depend on nothing
// but the source and the compiler's version.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const HERE = dirname(fileURLToPath(import.meta.url));
const OPTIONS = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--enable", "simd", "--importMemory", "--initialMemory", "1"];

/** All the pages that 32 bits can address. A memory that several threads may share must say its most. */
const MAX_PAGES = 65_536;

/** Entries of assembly/, and where their modules stand; and whether they may lie on a shared memory. */
export const MODULES = [
  { entry: "index.ts", file: "src/module.ts", about: "the kernels", shared: true },
  { entry: "fold.ts", file: "src/fold/module.ts", about: "the folding of updates", shared: false },
];

/** An entry's module, as bytes. Throws what the compiler said where it failed. */
export async function compile({ entry, shared }) {
  let bytes = null;
  const { error, stderr } = await asc.main(
    [entry, "--outFile", "module.wasm", ...OPTIONS, ...(shared ? ["--maximumMemory", String(MAX_PAGES)] : [])],
    {
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
    },
  );
  if (error !== null || bytes === null) throw new Error(stderr.toString());
  return Buffer.from(bytes);
}

/** Where the module says what memory it imports: after the names a 2 for a memory, then 1 for one of limited size or 3 for a shared one. */
function limitsAt(bytes) {
  const names = Buffer.from("\x03env\x06memory\x02\x01");
  const at = bytes.indexOf(names);
  if (at < 0 || bytes.indexOf(names, at + 1) >= 0) throw new Error("The module does not import its memory as was expected");
  return at + names.length - 1;
}

const OWN = `export const moduleBytes = (): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(MODULE.join("")), (character) => character.charCodeAt(0));
`;
const shareable = (at) => `/** Most pages of the memory that it imports. */
export const MAX_PAGES = ${MAX_PAGES};

/** The same code on a memory of one thread or on a shared one: they differ in one byte. */
export function moduleBytes(memory: "own" | "shared"): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(MODULE.join("")), (character) => character.charCodeAt(0));
  if (memory === "shared") bytes[${at}] = 3;
  return bytes;
}
`;

/** The text of a module: base64 in lines of 120. */
function moduleFile(bytes, { about, shared }) {
  const lines = bytes.toString("base64").match(/.{1,120}/g);
  return `// Made by build.mjs from assembly/: ${about} as a WebAssembly module, base64.
const MODULE: readonly string[] = [
${lines.map((line) => `  "${line}",`).join("\n")}
];

${shared ? shareable(limitsAt(bytes)) : OWN}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const module of MODULES) {
    const bytes = await compile(module);
    writeFileSync(join(HERE, module.file), moduleFile(bytes, module));
    console.log(`${module.file}: ${bytes.length} bytes`);
  }
}
