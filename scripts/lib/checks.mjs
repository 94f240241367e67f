// The static checks, one list for `npm run check` and `npm test`. Each is a program of its own; none changes a file.
import { bin } from "./prepare.mjs";

export const CHECKS = [
  { name: "types", command: bin("tsc"), args: ["-p", "."] },
  { name: "lint and format", command: bin("biome"), args: ["check", "--error-on-warnings", "."] },
  {
    name: "import rules",
    command: bin("depcruise"),
    args: ["--config", ".dependency-cruiser.cjs", "packages", "apps", "e2e"],
  },
  { name: "unused code and dependencies", command: bin("knip"), args: [] },
];
