// How our TypeScript becomes a bundle for Node, wherever one is built.

/** A plugin of esbuild: everything but our own packages and relative paths is left to Node. */
export const npmStaysOutside = {
  name: "npm-stays-outside",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === "entry-point" || path.startsWith("@weft/") ? undefined : { path, external: true },
    );
  },
};
