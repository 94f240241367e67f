// The pages of this project name only files that exist and link only to pages and headings that exist.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";

const root = new URL("../../../", import.meta.url);
const docs = (await readdir(new URL("docs/", root))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
const pages = new Map<string, string>();
for (const page of ["README.md", "ARCHITECTURE.md", ...docs]) pages.set(page, await readFile(new URL(page, root), "utf8"));

/** As code hosts make them of headings. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M} _-]/gu, "")
    .replaceAll(" ", "-");
const anchorsOf = (text: string): string[] => [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));

function faultOf(page: string, link: string): string | null {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? page : new URL(path, new URL(page, root)).href.slice(root.href.length);
  if (!existsSync(new URL(target, root))) return `${link}: there is no ${target}`;
  if (anchor === undefined) return null;
  return anchorsOf(pages.get(target) ?? "").includes(anchor) ? null : `${link}: ${target} has no such heading`;
}

describe.each([...pages])("%s", (page, text) => {
  it("links only to what exists", () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link).filter((link) => !/^[a-z]+:/.test(link));
    expect(links.flatMap((link) => faultOf(page, link) ?? [])).toEqual([]);
  });

  it("names only files that exist", () => {
    const named = [...text.matchAll(/`((?:apps|docs|e2e|packages|scripts)\/[\w./-]+)`/g)].map(([, path = ""]) => path);
    expect(named.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
  });
});

it("finds what is wrong", () => {
  expect(faultOf("docs/algorithms.md", "glossary.md")).toBeNull();
  expect(faultOf("docs/run-specification.md", "algorithms.md#fewer-bytes-down")).toBeNull();
  expect(faultOf("docs/algorithms.md", "nowhere.md")).toContain("there is no docs/nowhere.md");
  expect(faultOf("docs/algorithms.md", "glossary.md#nowhere")).toContain("no such heading");
});
