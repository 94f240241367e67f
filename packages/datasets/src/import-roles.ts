// Import of plays as characters, laid out by who speaks: each role is a client of a federated run. Knows no disk.
import { MAX_CLIENTS } from "@weft/protocol";
import { textOf, unpacked } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { assembleCharacters, checkFraction, percent, type TextOptions } from "./import-text.ts";
import type { ImportedDataset } from "./shards.ts";
import { normalizeText } from "./text.ts";

/** Of a role, unless told: what the FedAvg paper holds out. */
const HELD_OUT = 0.2;
/** A role with fewer has nothing to train on once a line is held out. */
const LEAST_LINES = 2;

/** A heading: a line of its own after an empty one or at the beginning, with no more than a name and a colon. */
const HEADING = /^(\S|\S.{0,62}\S):$/u;

/**
 * The lines of each role, headings and empty lines left out, in the order in which the roles first speak. Runs of spaces in a name are one.
 * Throws a DatasetFault, with the line, where somebody speaks before the first heading, and where a name cannot be shown.
 */
export function linesByRole(text: string, file: string): Map<string, string[]> {
  const roles = new Map<string, string[]>();
  let own: string[] | null = null;
  let isAfterGap = true;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trimEnd();
    const name = isAfterGap ? HEADING.exec(line)?.[1] : undefined;
    if (name !== undefined) {
      if (/\p{C}/u.test(name)) throw new DatasetFault(`${file}, line ${index + 1}: the role's name has characters that cannot be shown.`);
      const known = name.replaceAll(/\s+/gu, " ");
      own = roles.get(known) ?? [];
      roles.set(known, own);
    } else if (line !== "") {
      if (own === null)
        throw new DatasetFault(
          `${file}, line ${index + 1}: nobody is named who says this. Before each speech stands a line like "HAMLET:", after an empty one.`,
        );
      own.push(line);
    }
    isAfterGap = line === "";
  }
  return roles;
}

/**
 * Plays in which a line "NAME:" stands before each speech. A client is a role of one file, with all of its lines in their order; roles of
 * fewer than two lines are dropped. Of each role's lines the last ones are held out, a fifth unless told, rounded up and at least one
 * [McMahan et al., 1602.05629]; with a fraction of 0 none. The text is then the roles', one after another: a line is followed by a line end.
 */
export async function importRoles(options: TextOptions): Promise<ImportedDataset> {
  const { files, heldOutFraction = HELD_OUT } = options;
  checkFraction(heldOutFraction);
  const parts: { readonly name: string; readonly train: string; readonly heldOut: string }[] = [];
  let dropped = 0;
  for (const file of files) {
    const roles = linesByRole(normalizeText(textOf({ name: file.name, bytes: await unpacked(file) })), file.name);
    for (const [role, lines] of roles) {
      const held = heldOutFraction === 0 ? 0 : Math.max(1, Math.ceil(lines.length * heldOutFraction));
      if (lines.length < LEAST_LINES || held === lines.length) {
        dropped += 1;
        continue;
      }
      const text = (some: readonly string[]): string => some.map((line) => `${line}\n`).join("");
      // Roles of several plays may have one name: they are told apart by the file.
      const name = files.length === 1 ? role : `${role} (${file.name})`;
      parts.push({ name, train: text(lines.slice(0, lines.length - held)), heldOut: text(lines.slice(lines.length - held)) });
    }
  }
  if (parts.length === 0) throw new DatasetFault(`${files[0]?.name ?? "The text"}: no role has two lines or more.`);
  if (parts.length > MAX_CLIENTS)
    throw new DatasetFault(`There are ${parts.length} roles; at most ${MAX_CLIENTS} can be clients of a run.`);
  return assembleCharacters(
    options,
    parts,
    `Laid out by role: the lines of each of ${parts.length} roles without headings and empty lines, ${dropped} roles of fewer than ${LEAST_LINES} lines dropped; the last ${percent(heldOutFraction)} of each role's lines are held out, at least one.`,
    // By code points, as tokens are.
    parts.map(({ name, train }) => ({ name, characters: [...train].length })),
  );
}
