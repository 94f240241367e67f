// A simulation as a line of a terminal: written for whoever reads of a failing seed, read by run-seed.ts.
import { parseArgs } from "node:util";
import { isFaultName } from "./faults.ts";
import { isMutationName } from "./mutations.ts";
import type { SimulationOptions } from "./plan.ts";

/** From the repository's root. */
export const commandFor = ({ seed, size, volunteers, versions, without = [], mutation }: SimulationOptions): string =>
  [
    `npx tsx packages/testkit/src/simulation/run-seed.ts ${seed}`,
    size === "large" ? "--large" : "",
    volunteers === undefined ? "" : `--volunteers ${volunteers}`,
    versions === undefined ? "" : `--versions ${versions}`,
    without.length === 0 ? "" : `--without ${without.join(",")}`,
    mutation === undefined ? "" : `--mutation ${mutation}`,
  ]
    .filter((part) => part !== "")
    .join(" ");

/** The words behind the program's name. Throws a sentence where they are not understood. */
export function parseCommand(words: readonly string[]): { readonly options: SimulationOptions; readonly keepsLines: boolean } {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      large: { type: "boolean" },
      volunteers: { type: "string" },
      versions: { type: "string" },
      without: { type: "string" },
      mutation: { type: "string" },
      log: { type: "boolean" },
    },
  });
  const whole = (name: string, text: string | undefined): number => {
    if (text === undefined || !/^\d{1,15}$/.test(text)) throw new Error(`${name} is a whole number, not ${text ?? "left out"}.`);
    return Number(text);
  };
  const named = <T extends string>(what: string, isOne: (name: string) => name is T, name: string): T => {
    if (!isOne(name)) throw new Error(`There is no ${what} ${name}.`);
    return name;
  };
  const { large, volunteers, versions, without, mutation, log } = values;
  const options: SimulationOptions = {
    seed: whole("The seed", positionals[0]),
    size: large === true ? "large" : "small",
    ...(volunteers === undefined ? {} : { volunteers: whole("--volunteers", volunteers) }),
    ...(versions === undefined ? {} : { versions: whole("--versions", versions) }),
    ...(without === undefined ? {} : { without: without.split(",").map((name) => named("fault", isFaultName, name)) }),
    ...(mutation === undefined ? {} : { mutation: named("mutation", isMutationName, mutation) }),
  };
  return { options, keepsLines: log === true };
}
