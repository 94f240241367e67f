// The static checks, one list for `npm run check` and `npm test`. Each is a program of its own; none changes a file.
export const CHECKS = [
  { name: "types", command: "npx", args: ["--no-install", "tsc", "-p", "."] },
  { name: "lint and format", command: "npx", args: ["--no-install", "biome", "check", "--error-on-warnings", "."] },
  {
    name: "import rules",
    command: "npx",
    args: ["--no-install", "depcruise", "--config", ".dependency-cruiser.cjs", "packages", "apps", "e2e"],
  },
  { name: "unused code and dependencies", command: "npx", args: ["--no-install", "knip"] },
];
