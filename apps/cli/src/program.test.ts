// docs/command-line.md and the commands say the same: every command has its section, every section names the command's options and no others.
import { readFile } from "node:fs/promises";
import type { Argument, Command } from "commander";
import { describe, expect, it } from "vitest";
import { weftProgram } from "./program.ts";

const leaves = (command: Command, path: string): [string, Command][] =>
  command.commands.length === 0 ? [[path, command]] : command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`));
const commands = leaves(weftProgram(), "weft");

const text = await readFile(new URL("../../../docs/command-line.md", import.meta.url), "utf8");
/** By their headings: `weft runs show <run>`. */
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section): [string, string] => [section.slice(0, section.indexOf("\n")).trim(), section.slice(section.indexOf("\n"))]),
);
const SHARED = "Whose data it is";

const shown = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};
const headingOf = (path: string, command: Command): string => [path, ...command.registeredArguments.map(shown)].join(" ");
/** A command's own section, and the one that it shares where it names it. */
const sectionOf = (path: string, command: Command): string => {
  const own = sections.get(headingOf(path, command)) ?? "";
  return own.includes("(#whose-data-it-is)") ? own + (sections.get(SHARED) ?? "") : own;
};
/** Options and their defaults as the tables name them; an example may show options too, but does not count. */
const tabled = (section: string): Map<string, string> =>
  new Map([...section.matchAll(/^\| `(--[^`]+)` \|.*\| ?([^|]*?) ?\|$/gm)].map(([, flags = "", unlessSaid = ""]) => [flags, unlessSaid]));
const optionsOf = (command: Command) => command.options.filter(({ hidden }) => !hidden);

describe("docs/command-line.md", () => {
  it("has a section for every command, and for no other", () => {
    expect(commands.length).toBeGreaterThanOrEqual(17);
    const headings = [...sections.keys()].filter((heading) => heading !== SHARED);
    expect(headings.sort()).toEqual(commands.map(([path, command]) => headingOf(path, command)).sort());
  });

  it.each(commands)("names the options of %s, and no others", (path, command) => {
    const named = [...tabled(sectionOf(path, command)).keys()];
    expect(named.sort()).toEqual(
      optionsOf(command)
        .map(({ flags }) => flags)
        .sort(),
    );
  });

  it.each(commands)("says which options of %s are required, and what stands for the others", (path, command) => {
    const table = tabled(sectionOf(path, command));
    for (const { flags, mandatory, defaultValue } of optionsOf(command)) {
      if (mandatory) expect([flags, table.get(flags)]).toEqual([flags, "required"]);
      else if (typeof defaultValue === "string" || typeof defaultValue === "number")
        expect([flags, table.get(flags)]).toEqual([flags, `\`${defaultValue}\``]);
    }
  });

  it.each(commands)("shows %s in an example", (path, command) => {
    const examples = [...sectionOf(path, command).matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, example]) => example);
    expect(examples.some((example) => example?.startsWith(`$ npx ${path} `) === true || example?.startsWith(`$ npx ${path}\n`))).toBe(true);
  });
});
