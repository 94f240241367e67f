// Who may import whom. `npm run check` enforces it; ARCHITECTURE.md draws it.
const MAY_IMPORT = {
  protocol: [],
  tensors: [],
  training: ["protocol", "tensors"],
  ledger: ["protocol", "tensors"],
  storage: ["ledger", "protocol"],
  datasets: ["protocol", "tensors"],
  models: ["tensors", "protocol"],
  webgpu: ["tensors"],
  wasm: ["tensors"],
  engine: ["models", "webgpu", "wasm", "tensors", "protocol"],
  volunteer: ["protocol", "tensors"],
  checkpoints: ["tensors", "ledger", "protocol"],
  coordinator: ["protocol", "tensors", "training", "ledger", "storage", "datasets", "models", "checkpoints"],
  audit: ["protocol", "tensors", "training", "ledger", "storage", "models", "coordinator"],
};
const TESTS = "\\.test\\.tsx?$|/test/";

const layers = Object.entries(MAY_IMPORT).map(([name, allowed]) => ({
  name: `${name}-imports-only-its-layers`,
  severity: "error",
  from: { path: `^packages/${name}/`, pathNot: TESTS },
  to: { path: "^(packages|apps|e2e)/", pathNot: `^packages/(${[name, ...allowed].join("|")})/` },
}));

module.exports = {
  forbidden: [
    ...layers,
    { name: "no-circular", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    {
      name: "nobody-imports-apps-testkit-bench",
      severity: "error",
      from: { path: "^packages/", pathNot: `^packages/(testkit|bench)/|${TESTS}` },
      to: { path: "^(apps/|e2e/|packages/(testkit|bench)/)" },
    },
    {
      name: "apps-do-not-import-apps-but-the-command-line",
      severity: "error",
      from: { path: "^apps/([^/]+)/", pathNot: `^apps/cli/|${TESTS}` },
      to: { path: "^apps/", pathNot: "^apps/$1/" },
    },
    {
      name: "node-only-in-adapters",
      severity: "error",
      from: {
        path: "^(packages|apps)/",
        pathNot: `^packages/storage/src/(node-disk|accounts-database)\\.ts$|^apps/(coordinator|cli)/|^packages/(bench|testkit)/|/build\\.mjs$|${TESTS}`,
      },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "react-only-in-the-web-application",
      severity: "error",
      from: { pathNot: "^apps/web/" },
      to: { path: "node_modules/(react|react-dom)/" },
    },
    {
      name: "only-declared-dependencies",
      severity: "error",
      // Tests and build scripts use what the root declares.
      from: { path: "^(packages|apps)/", pathNot: `${TESTS}|/build\\.mjs$` },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "resolvable",
      severity: "error",
      from: { path: "^(packages|apps|e2e)/" },
      to: { couldNotResolve: true, pathNot: "\\?(url|worker)$|^virtual:" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "browser", "default"],
      extensions: [".ts", ".tsx", ".mjs", ".js", ".json"],
    },
  },
};
