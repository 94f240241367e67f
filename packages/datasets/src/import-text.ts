// Import of text as characters: plain UTF-8 files, and JSON lines with one document each. Knows no disk.
import type { Role } from "@weft/protocol";
import { type NamedBytes, textOf, unpacked } from "./bytes.ts";
import { DatasetFault } from "./fault.ts";
import { type About, assembleText, type ImportedDataset } from "./shards.ts";
import { alphabetOf, encodeText, normalizeText } from "./text.ts";

/** Above it a character model's output layer is larger than the rest of the model; such texts want another tokeniser. */
const MAX_ALPHABET = 8_192;

export interface TextOptions {
  readonly about: About;
  readonly files: readonly NamedBytes[];
  /** Part of each file, from its end, that is held out; a tenth unless told. */
  readonly heldOutFraction?: number;
}

const join = (pieces: readonly Uint16Array[]): Uint16Array => {
  const whole = new Uint16Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
};

export const checkFraction = (fraction: number): void => {
  if (!(fraction >= 0 && fraction < 1)) throw new DatasetFault(`The held-out fraction is ${fraction}; it must be at least 0 and below 1.`);
};

/** Makes tokens of the characters; `said` is what else was done, and `roles` are those of the training text in its order. */
export const assembleCharacters = async (
  { about, files }: TextOptions,
  texts: readonly { readonly train: string; readonly heldOut: string }[],
  said: string,
  roles?: readonly Role[],
): Promise<ImportedDataset> => {
  const alphabet = alphabetOf(texts.flatMap(({ train, heldOut }) => [train, heldOut]));
  if (alphabet.length < 2) throw new DatasetFault(`${files[0]?.name ?? "The text"}: fewer than two different characters.`);
  if (alphabet.length > MAX_ALPHABET)
    throw new DatasetFault(
      `The text has ${alphabet.length} different characters; at most ${MAX_ALPHABET} can be tokens of a character model.`,
    );
  return assembleText(
    about,
    `Line ends to LF, Unicode to NFC; one token a character, the alphabet of ${alphabet.length} in code-point order. ${said}`,
    files,
    { kind: "text", alphabet },
    join(texts.map(({ train }) => encodeText(alphabet, train))),
    join(texts.map(({ heldOut }) => encodeText(alphabet, heldOut))),
    roles,
  );
};

export const percent = (fraction: number): string => `${Math.round(fraction * 1000) / 10} %`;

export const importText = async (options: TextOptions): Promise<ImportedDataset> => {
  const { files, heldOutFraction = 0.1 } = options;
  checkFraction(heldOutFraction);
  const texts = await Promise.all(
    files.map(async (file) => {
      const text = normalizeText(textOf({ name: file.name, bytes: await unpacked(file) }));
      if (text.length === 0) throw new DatasetFault(`${file.name}: is empty.`);
      // By code points, so that no character is cut in two.
      const characters = [...text];
      const cut = Math.floor(characters.length * (1 - heldOutFraction));
      return { train: characters.slice(0, cut).join(""), heldOut: characters.slice(cut).join("") };
    }),
  );
  return assembleCharacters(options, texts, `The last ${percent(heldOutFraction)} of each file are held out.`);
};

/** One line's text, or why it has none. */
const documentOf = (line: string, where: string): string => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new DatasetFault(`${where}: not valid JSON. Each line must be an object like {"text": "..."}.`);
  }
  const text = typeof value === "object" && value !== null && "text" in value ? value.text : undefined;
  if (typeof text !== "string")
    throw new DatasetFault(`${where}: no "text" that is a string. Each line must be an object like {"text": "..."}.`);
  return normalizeText(text);
};

/** Documents keep their bounds: each ends with an empty line, and the last ones of a file are held out whole. */
export const importJsonl = async (options: TextOptions): Promise<ImportedDataset> => {
  const { files, heldOutFraction = 0.1 } = options;
  checkFraction(heldOutFraction);
  const texts = await Promise.all(
    files.map(async (file) => {
      const lines = textOf({ name: file.name, bytes: await unpacked(file) }).split(/\r?\n/);
      const documents = lines.flatMap((line, index) => (line.trim() === "" ? [] : [documentOf(line, `${file.name}, line ${index + 1}`)]));
      if (documents.length === 0) throw new DatasetFault(`${file.name}: holds no documents.`);
      const cut = documents.length - Math.round(documents.length * heldOutFraction);
      const text = (part: readonly string[]): string => part.map((document) => `${document}\n\n`).join("");
      return { train: text(documents.slice(0, cut)), heldOut: text(documents.slice(cut)) };
    }),
  );
  return assembleCharacters(
    options,
    texts,
    `Each document ends with an empty line; the last ${percent(heldOutFraction)} of each file's documents are held out.`,
  );
};
