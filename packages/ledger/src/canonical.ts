// Canonical JSON (RFC 8785): one spelling for each value, so that everybody hashes and signs the same bytes.
// Knows nothing of hashes, ledgers or what a value means.

/** Deeper values are refused: no honest record nests so far, and recursion must not end in a stack overflow. */
const MAX_DEPTH = 100;
/** With the `u` flag this matches only surrogates that have no partner. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const encoder = new TextEncoder();

function refuse(path: string, what: string): never {
  throw new TypeError(`canonical JSON: ${what} at ${path === "" ? "the top" : path}`);
}

function writeString(value: string, path: string): string {
  if (LONE_SURROGATE.test(value)) refuse(path, "a lone surrogate");
  // ECMAScript's escapes are exactly those of RFC 8785, section 3.2.2.2.
  return JSON.stringify(value);
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > MAX_DEPTH) refuse(path.slice(0, 60), `nesting deeper than ${MAX_DEPTH}`);
  if (value === null) return "null";
  switch (typeof value) {
    case "boolean":
      return value ? "true" : "false";
    case "number":
      if (!Number.isFinite(value)) refuse(path, "a number that is not finite");
      return JSON.stringify(value);
    case "string":
      return writeString(value, path);
    case "object":
      return Array.isArray(value) ? writeArray(value, path, depth) : writeObject(value, path, depth);
    default:
      return refuse(path, `a value of type ${typeof value}`);
  }
}

function writeArray(value: readonly unknown[], path: string, depth: number): string {
  let text = "[";
  // By index, so that a hole is met as undefined and refused.
  for (let index = 0; index < value.length; index += 1) {
    if (index > 0) text += ",";
    text += write(value[index], `${path}[${index}]`, depth + 1);
  }
  return `${text}]`;
}

function writeObject(value: object, path: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  // Plain objects only, of any realm: a Map or a Date would silently lose its contents.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) refuse(path, "an object that is not plain");
  const fields = value as Record<string, unknown>;
  // The default order of `sort` compares UTF-16 code units, as RFC 8785 asks.
  const names = Object.keys(fields).sort();
  let text = "{";
  for (let index = 0; index < names.length; index += 1) {
    const name = names[index] as string;
    if (index > 0) text += ",";
    text += `${writeString(name, path)}:${write(fields[name], `${path}.${name}`, depth + 1)}`;
  }
  return `${text}}`;
}

/**
 * The canonical text of a JSON value: names sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them.
 * Throws a TypeError that names the place for what JSON cannot hold: NaN, infinities, undefined, functions, bigints,
 * lone surrogates, objects that are not plain, nesting deeper than 100.
 */
export const canonicalJson = (value: unknown): string => write(value, "", 0);

/** UTF-8 of the canonical text. Throws as `canonicalJson` does. */
export const canonicalBytes = (value: unknown): Uint8Array => encoder.encode(canonicalJson(value));
