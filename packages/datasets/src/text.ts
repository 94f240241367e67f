// Characters as tokens: a token id is a character's place in the data set's alphabet. Knows no files.
import { DatasetFault } from "./fault.ts";

/** Line ends become LF, and composed characters (NFC) stand for sequences that look the same. */
export const normalizeText = (text: string): string => text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").normalize("NFC");

/** Every code point of the texts, in code-point order. */
export const alphabetOf = (texts: readonly string[]): string[] => {
  const points = new Set<number>();
  for (const text of texts) for (const character of text) points.add(character.codePointAt(0) ?? 0);
  return [...points].sort((one, other) => one - other).map((point) => String.fromCodePoint(point));
};

const tables = new WeakMap<readonly string[], ReadonlyMap<string, number>>();
const tableOf = (alphabet: readonly string[]): ReadonlyMap<string, number> => {
  let table = tables.get(alphabet);
  if (table === undefined) {
    table = new Map(alphabet.map((character, index) => [character, index]));
    tables.set(alphabet, table);
  }
  return table;
};

/** Token ids of `text`, which must be made of the alphabet's characters; use `keepKnown` first on what a person typed. */
export const encodeText = (alphabet: readonly string[], text: string): Uint16Array => {
  const table = tableOf(alphabet);
  const tokens = new Uint16Array(text.length);
  let count = 0;
  for (const character of text) {
    const token = table.get(character);
    if (token === undefined) throw new DatasetFault(`The character ${JSON.stringify(character)} is not in the data set's alphabet.`);
    tokens[count++] = token;
  }
  return tokens.slice(0, count);
};

/** The text without the characters that the alphabet lacks. */
export const keepKnown = (alphabet: readonly string[], text: string): string => {
  const table = tableOf(alphabet);
  return [...normalizeText(text)].filter((character) => table.has(character)).join("");
};

export const decodeTokens = (alphabet: readonly string[], tokens: Iterable<number>): string => {
  let text = "";
  for (const token of tokens) {
    const character = alphabet[token];
    if (character === undefined) throw new RangeError(`token ${token} of an alphabet of ${alphabet.length}`);
    text += character;
  }
  return text;
};
