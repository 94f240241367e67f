// Plays by role: whose words are whose, and which of them are held out.
import { DatasetManifest } from "@weft/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { importRoles, linesByRole } from "./import-roles.ts";
import type { About, ImportedDataset } from "./shards.ts";
import { decodeTokens } from "./text.ts";

const about: About = { id: "p", name: "P", description: "Plays", source: "here", license: "CC0-1.0", attribution: "Nobody", citation: "" };
const file = (text: string, name = "play.txt") => ({ name, bytes: new TextEncoder().encode(text) });
const textsOf = ({ manifest, shards }: ImportedDataset) => {
  const { form } = manifest;
  const of = (from: number, to: number): string =>
    form.kind === "text"
      ? shards
          .slice(from, to)
          .map((shard) => decodeTokens(form.alphabet, shard))
          .join("")
      : "";
  return { train: of(0, manifest.train.length), heldOut: of(manifest.train.length, shards.length) };
};

const PLAY = `Weaver:
The loom is wide: it holds us all.

First  Child:
Who pulls this thread?
Not I,
said the wind.

Weaver:
We do, together:
one line each.

Passer-by:
Good day.

First Child:
And it holds.
`;

describe("lines by role", () => {
  it("belong to the name that stands alone before a speech, after an empty line", () => {
    expect([...linesByRole(PLAY, "play.txt")]).toEqual([
      ["Weaver", ["The loom is wide: it holds us all.", "We do, together:", "one line each."]],
      ["First Child", ["Who pulls this thread?", "Not I,", "said the wind.", "And it holds."]],
      ["Passer-by", ["Good day."]],
    ]);
  });

  it("are refused where nobody is named, with the line, and where a name cannot be shown", () => {
    expect(() => linesByRole("\nGood day.\n", "a.txt")).toThrow("a.txt, line 2: nobody is named who says this.");
    expect(() => linesByRole("A\u202eB:\nHello\n", "a.txt")).toThrow("a.txt, line 1: the role's name has characters that cannot be shown.");
    expect(() => linesByRole(`${"N".repeat(65)}:\nHello\n`, "a.txt")).toThrow("nobody is named");
  });
});

describe("plays by role", () => {
  it("lie role after role; the last fifth of each role's lines is held out, at least one; who has one line is dropped", async () => {
    const made = await importRoles({ about, files: [file(PLAY)] });
    const { train, heldOut } = textsOf(made);
    expect(train).toBe("The loom is wide: it holds us all.\nWe do, together:\nWho pulls this thread?\nNot I,\nsaid the wind.\n");
    expect(heldOut).toBe("one line each.\nAnd it holds.\n");
    expect(made.manifest.roles).toEqual([
      { name: "Weaver", characters: 52 },
      { name: "First Child", characters: 45 },
    ]);
    expect(made.manifest.preprocessing).toContain("2 roles without headings and empty lines, 1 roles of fewer than 2 lines dropped");
  });

  it("of several files tell roles of one name apart, and refuse two files of one name", async () => {
    const two = await importRoles({ about, files: [file("A:\none\ntwo\n", "x.txt"), file("A:\nthree\nfour\n", "y.txt")] });
    expect(two.manifest.roles).toEqual([
      { name: "A (x.txt)", characters: 4 },
      { name: "A (y.txt)", characters: 6 },
    ]);
    const same = importRoles({ about, files: [file("A:\none\ntwo\n"), file("A:\none\ntwo\n")] });
    await expect(same).rejects.toThrow("The data set's roles is not acceptable: two roles have the same name.");
  });

  it("without a role of two lines are refused", async () => {
    await expect(importRoles({ about, files: [file("A:\none\n")] })).rejects.toThrow("play.txt: no role has two lines or more.");
    await expect(importRoles({ about, files: [file(PLAY)], heldOutFraction: 1 })).rejects.toThrow("held-out fraction");
  });

  it("lose no line of a role that is kept, whatever the play, and count every character of the training text once", async () => {
    const speech = fc.record({
      name: fc.constantFrom("ADA", "Bo", "First Lord", "Ødegård", "🧵"),
      lines: fc.array(fc.constantFrom("so", "it is so", "ja, né", "🧵🧵"), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(speech, { minLength: 1, maxLength: 12 }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        async (speeches, fraction) => {
          const due = new Map<string, string[]>();
          for (const { name, lines } of speeches) due.set(name, [...(due.get(name) ?? []), ...lines]);
          const held = (lines: readonly string[]): number => (fraction === 0 ? 0 : Math.max(1, Math.ceil(lines.length * fraction)));
          const kept = [...due].filter(([, lines]) => lines.length > 1 && held(lines) < lines.length);
          fc.pre(kept.length > 0);
          const text = speeches.map(({ name, lines }) => `${name}:\n${lines.join("\n")}\n`).join("\n");
          const made = await importRoles({ about, files: [file(text)], heldOutFraction: fraction });
          const { train, heldOut } = textsOf(made);
          const characters = [...train];
          const lengths = (made.manifest.roles ?? []).map((role) => role.characters);
          const ends = lengths.map((_, role) => lengths.slice(0, role + 1).reduce((sum, length) => sum + length, 0));
          const own = ends.map((end, role) => characters.slice(end - (lengths[role] ?? 0), end).join(""));
          expect(ends.at(-1)).toBe(characters.length);
          expect(own).toEqual(
            kept.map(([, lines]) =>
              lines
                .slice(0, lines.length - held(lines))
                .map((line) => `${line}\n`)
                .join(""),
            ),
          );
          expect(heldOut).toBe(kept.flatMap(([, lines]) => lines.slice(lines.length - held(lines)).map((line) => `${line}\n`)).join(""));
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a manifest's roles", () => {
  it("are refused where they are not those of its training text", async () => {
    const { manifest } = await importRoles({ about, files: [file(PLAY)] });
    const [first, second] = manifest.roles ?? [];
    const problems = (roles: unknown) => DatasetManifest.safeParse({ ...manifest, roles }).error?.issues.map(({ message }) => message);
    expect(problems([first])).toEqual(["the roles have 52 characters, the training text 97"]);
    expect(problems([first, { ...second, name: "Weaver" }])).toEqual(["two roles have the same name"]);
    for (const roles of [[], [{ name: "", characters: 97 }], [{ name: "A", characters: 0 }], [{ name: "A\u0007", characters: 97 }]])
      expect(problems(roles)).toEqual(expect.arrayContaining([expect.any(String)]));
    const images = { kind: "images", height: 1, width: 1, channels: 1, classes: 2, labels: [], scale: 1 };
    expect(DatasetManifest.safeParse({ ...manifest, form: images }).success).toBe(false);
  });
});
