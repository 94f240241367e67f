import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createDesk, key } from "../test/desk.ts";
import { evolve, ImpossibleEvent } from "./evolve.ts";
import { concernedBy, leadsTo, MACHINES, type MachineName } from "./machine.ts";

const DOCUMENT = readFileSync(new URL("../../../ARCHITECTURE.md", import.meta.url), "utf8");
const NAMES = Object.keys(MACHINES) as MachineName[];

const list = (cell: string, between: string | RegExp): string[] => cell.split(between).map((one) => one.trim());

/** Each transition of one machine as "from event to", from the table behind its name in bold. */
function documented(machine: MachineName): string[] {
  const title = `**${machine[0]?.toUpperCase()}${machine.slice(1)}.**`;
  const [, after] = DOCUMENT.split(title);
  const table = after?.split("\n\n")[1];
  if (table === undefined || !table.startsWith("| from | event | to |")) throw new Error(`ARCHITECTURE.md has no table for the ${machine}`);
  return table
    .trim()
    .split("\n")
    .slice(2)
    .flatMap((row) => {
      const [froms = "", events = "", tos = ""] = row.split("|").slice(1);
      return list(froms, ",").flatMap((from) =>
        list(events, ",").flatMap((event) => list(tos, " or ").map((to) => `${from} ${event} ${to === "same" ? from : to}`)),
      );
    });
}
const inTheCode = (machine: MachineName): string[] =>
  Object.entries(MACHINES[machine]).flatMap(([from, events]) =>
    Object.entries(events as Record<string, readonly string[]>).flatMap(([event, tos]) => tos.map((to) => `${from} ${event} ${to}`)),
  );
const statesIn = (transitions: readonly string[]): Set<string> =>
  new Set(transitions.flatMap((transition) => [transition.split(" ")[0] as string, transition.split(" ")[2] as string]));

describe("the state machine", () => {
  it.each(NAMES)("of the %s has in ARCHITECTURE.md the transitions and states that it has in the code, each once", (machine) => {
    const documentedOnes = documented(machine);
    expect(documentedOnes.toSorted()).toEqual(inTheCode(machine).toSorted());
    expect(new Set(documentedOnes).size).toBe(documentedOnes.length);
    expect([...statesIn(documentedOnes)].sort()).toEqual(Object.keys(MACHINES[machine]).sort());
  });

  it.each(NAMES)("of the %s reaches every state from nothing", (machine) => {
    const reached = new Set(["none"]);
    for (let size = 0; size < reached.size; ) {
      size = reached.size;
      for (const transition of inTheCode(machine)) {
        const [from = "", , to = ""] = transition.split(" ");
        if (reached.has(from)) reached.add(to);
      }
    }
    expect([...reached].sort()).toEqual(Object.keys(MACHINES[machine]).sort());
  });

  it("lets events pass that it does not name, and no others", () => {
    expect(concernedBy("volunteer-joined")).toEqual(["run"]);
    expect(concernedBy("contribution-admitted")).toEqual(["run", "round", "lease", "assignment"]);
    expect(leadsTo("round", "open", "version-published")).toBeNull();
    expect(leadsTo("run", "paused", "lease-assigned")).toBeNull();
    expect(leadsTo("run", "finished", "run-rolled-back")).toEqual(["paused"]);
  });

  it("is obeyed by the fold: an event at the wrong time is refused, naming the machine and its state", () => {
    const refusals: readonly (readonly [string, (desk: ReturnType<typeof createDesk>) => void, unknown])[] = [
      ["the run is running", () => undefined, { type: "run-resumed", by: "a" }],
      ["the run is paused", (desk) => desk.send({ kind: "pause", by: "a" }), { type: "run-paused", by: "a" }],
      ["the run is stopped", (desk) => desk.send({ kind: "stop", by: "a" }), { type: "run-finished", version: 0 }],
      [
        "the run is paused",
        (desk) => desk.send({ kind: "pause", by: "a" }),
        { type: "lease-assigned", lease: "0.1", attempt: 1, volunteer: key(1), start: 24, samples: 4, deadlineAtMs: 0 },
      ],
      ["the round is collecting", () => undefined, { type: "round-opened", base: 0, start: 0, samples: 24, learningRate: "00000000" }],
      [
        "the round is collecting",
        () => undefined,
        { type: "version-published", version: 1, weights: {}, optimizer: {}, contributions: [] },
      ],
      ["the round is collecting", () => undefined, { type: "run-finished", version: 0 }],
      ["the lease is out", () => undefined, { type: "run-stopped", by: "a", abandoned: [] }],
      [
        "the lease is waiting",
        (desk) => desk.send({ kind: "release", volunteer: key(1), lease: "0.0", attempt: 1 }),
        { type: "assignment-ended", lease: "0.0", attempt: 1, volunteer: key(1), reason: "expired" },
      ],
      [
        "the assignment is forfeited",
        (desk) => desk.send({ kind: "release", volunteer: key(1), lease: "0.0", attempt: 1 }),
        {
          type: "contribution-admitted",
          header: { lease: "0.0", attempt: 1, volunteer: key(1), samples: 24, base: "x", sha256: "y" },
        },
      ],
    ];
    for (const [why, before, event] of refusals) {
      const desk = createDesk();
      desk.send({ kind: "tick" });
      desk.join(1);
      desk.take(1, 1_000);
      before(desk);
      const fold = () => evolve(desk.state, event as never, desk.nowMs);
      expect(fold).toThrow(ImpossibleEvent);
      expect(fold).toThrow(why);
    }
  });
});
