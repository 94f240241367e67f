// Bench `faults`: nothing is lost. Simulations, kills of the real process, and churn; the three figures are rows of one table.
import type { Bench } from "../../bench.ts";
import { tableOf } from "../../report.ts";
import { churnRows } from "./churn.ts";
import { killRows } from "./kills.ts";
import { seedRows } from "./seeds.ts";

/** The longest last. */
const PARTS = { kills: killRows, churn: churnRows, seeds: seedRows } as const;

export const faultsBench: Bench = {
  name: "faults",
  about:
    "simulations under thirty faults, kills of the real process, and churn: nothing is lost or counted twice (parts: kills, churn, seeds)",
  async run(context) {
    const { only } = context;
    const parts = Object.entries(PARTS).filter(([name]) => only === null || only === name);
    if (parts.length === 0) throw new Error(`faults has no part ${only}; its parts are ${Object.keys(PARTS).join(", ")}`);
    const rows = [];
    for (const [name, measure] of parts) {
      const measured = await measure(context);
      // An hour in all: what is known is told before the rest.
      context.say(`${name}:\n${tableOf(measured)}`);
      rows.push(...measured);
    }
    return rows;
  },
};
