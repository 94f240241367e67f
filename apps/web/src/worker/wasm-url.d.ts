// Vite's `?url` imports of binaries: the address under which the built application serves the file.
declare module "*.wasm?url" {
  const url: string;
  export default url;
}
