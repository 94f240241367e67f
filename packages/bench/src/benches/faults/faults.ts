// Bench `faults`: nothing is lost. Simulations, kills of the real process, and churn; the three figures are rows of one table.
import type { Bench } from "../../bench.ts";
import { churnRows } from "./churn.ts";
import { killRows } from "./kills.ts";
import { seedRows } from "./seeds.ts";

export const faultsBench: Bench = {
  name: "faults",
  about: "simulations under thirty faults, kills of the real process, and churn: nothing is lost or counted twice",
  async run(context) {
    return [...(await seedRows(context)), ...(await killRows(context)), ...(await churnRows(context))];
  },
};
