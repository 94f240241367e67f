// A data set as it is published: what it is, whose, under which licence, and the hashes of every file and shard.
// Knows nothing of how files become shards.
import * as z from "zod/mini";
import { DatasetId, Sha256 } from "./ids.ts";
import { MAX_CLIENTS } from "./limits.ts";

const count = z.int().check(z.gte(0), z.lte(1_000_000_000_000));

export const SourceFile = z.strictObject({ name: z.string().check(z.regex(/^[^/\\\0]{1,200}$/)), sizeBytes: count, sha256: Sha256 });
export type SourceFile = z.infer<typeof SourceFile>;

/** A shard holds consecutive samples (images) or consecutive tokens (text); `samples` counts images, or tokens of a text. */
export const Shard = z.strictObject({ sha256: Sha256, sizeBytes: count, samples: count });
export type Shard = z.infer<typeof Shard>;

/**
 * `images`: a shard is `samples` records of `values` bytes (u8, row-major, channels last; divide by `scale`) followed by `samples` labels (u8, or u16 little-endian above 256 classes).
 * `text`: a shard is `samples` token ids (u8 up to 256 symbols, else u16 little-endian).
 */
export const DataForm = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("images"),
    height: z.int().check(z.gte(1), z.lte(4096)),
    width: z.int().check(z.gte(1), z.lte(4096)),
    channels: z.int().check(z.gte(1), z.lte(16)),
    classes: z.int().check(z.gte(2), z.lte(65_536)),
    labels: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(65_536)),
    /** Byte value that becomes 1.0. */
    scale: z.number().check(z.gt(0), z.lte(65_535)),
  }),
  z.strictObject({
    kind: z.literal("text"),
    /** The characters in code-point order; a token id is an index into them. */
    alphabet: z.array(z.string().check(z.minLength(1), z.maxLength(8))).check(z.minLength(2), z.maxLength(65_536)),
  }),
]);
export type DataForm = z.infer<typeof DataForm>;

/** Whose words a part of a text is: so many characters of the training text. Its name has no control or invisible characters. */
export const Role = z.strictObject({ name: z.string().check(z.regex(/^[^\p{C}]{1,160}$/u)), characters: count.check(z.gte(1)) });
export type Role = z.infer<typeof Role>;

const DatasetFields = z.strictObject({
  format: z.literal("weft-dataset/1"),
  id: DatasetId,
  name: z.string().check(z.minLength(1), z.maxLength(80)),
  description: z.string().check(z.minLength(1), z.maxLength(1000)),
  source: z.string().check(z.minLength(1), z.maxLength(500)),
  /** SPDX identifier, or `LicenseRef-PublicDomain` where there is none. */
  license: z.string().check(z.regex(/^[A-Za-z0-9.+-]{1,64}$/)),
  attribution: z.string().check(z.minLength(1), z.maxLength(1000)),
  citation: z.string().check(z.maxLength(2000)),
  preprocessing: z.string().check(z.minLength(1), z.maxLength(2000)),
  files: z.array(SourceFile).check(z.minLength(1), z.maxLength(10_000)),
  form: DataForm,
  train: z.array(Shard).check(z.minLength(1), z.maxLength(100_000)),
  heldOut: z.array(Shard).check(z.maxLength(100_000)),
  /** Of a text that is laid out by role: the training text is theirs, one after another in this order. Absent: nothing is known of roles. */
  roles: z.optional(z.array(Role).check(z.minLength(1), z.maxLength(MAX_CLIENTS))),
});

/** Why the roles cannot be those of the data set; null where they can. */
function rolesProblem({ form, roles, train }: z.infer<typeof DatasetFields>): string | null {
  if (roles === undefined) return null;
  if (form.kind !== "text") return "only a text has roles";
  if (new Set(roles.map(({ name }) => name)).size !== roles.length) return "two roles have the same name";
  const characters = roles.reduce((sum, role) => sum + role.characters, 0);
  const there = totalSamples(train);
  return characters === there ? null : `the roles have ${characters} characters, the training text ${there}`;
}

export const DatasetManifest = DatasetFields.check((found) => {
  const problem = rolesProblem(found.value);
  if (problem !== null) found.issues.push({ code: "custom", input: found.value, path: ["roles"], message: problem });
});
export type DatasetManifest = z.infer<typeof DatasetManifest>;

/** Images, or characters of a text. */
export const totalSamples = (shards: readonly Shard[]): number => shards.reduce((sum, shard) => sum + shard.samples, 0);
