// Everything that the coordinator says, as schemas. A volunteer believes no field before it is parsed: the coordinator may be broken, another
// version, or somebody else. Unknown fields are ignored, so that a newer coordinator can say more.
import {
  Assignment,
  type BlobRef,
  ERROR_CODES,
  type ErrorCode,
  LeaseId,
  MAX_CONTRIBUTION_BYTES,
  MAX_SPEC_BYTES,
  ok,
  type Result,
  RunId,
  refuse,
  VolunteerId,
} from "@weft/protocol";
import * as z from "zod/mini";

const count = z.int().check(z.gte(0), z.lte(Number.MAX_SAFE_INTEGER));

export const ChallengeIn = z.object({
  nonce: z.string().check(z.minLength(1), z.maxLength(64)),
  coordinator: VolunteerId,
  protocol: z.int().check(z.gte(0), z.lte(1_000_000)),
});
export type ChallengeIn = z.infer<typeof ChallengeIn>;

/** A key has at most two open assignments; a list much longer is no honest one. */
const MAX_OPEN_IN_WELCOME = 16;
/** A data set's manifest names every shard: 100 bytes each, 100,000 at most. */
const MAX_MANIFEST_BYTES = 32 * 1024 * 1024;

const Sized = Assignment.check(
  z.refine(({ spec, dataset, weights, deltas = [] }) => {
    const within = ({ sizeBytes }: BlobRef, most: number): boolean => sizeBytes >= 1 && sizeBytes <= most;
    return (
      within(spec, MAX_SPEC_BYTES) &&
      within(dataset, MAX_MANIFEST_BYTES) &&
      [weights, ...deltas.map(({ delta }) => delta)].every((each) => within(each, MAX_CONTRIBUTION_BYTES))
    );
  }, "the blobs of an assignment are within their bounds"),
);
export const WelcomeIn = z.object({
  volunteer: VolunteerId,
  open: z.array(Sized).check(z.maxLength(MAX_OPEN_IN_WELCOME)),
  /** Without it no goodbye can be said from outside the connection; nothing else depends on it. */
  farewell: z.optional(z.string().check(z.maxLength(64))),
});

export const LeaseReplyIn = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("lease"), assignment: Sized }),
  z.object({
    kind: z.literal("none"),
    reason: z.string().check(z.maxLength(2_000)),
    retryAfterMs: z.number().check(z.gte(0), z.lte(1e12)),
  }),
]);
export const ContributionOpenedIn = z.object({ nextChunk: z.int().check(z.gte(0), z.lte(1_000_000)) });
export const ChunkReplyIn = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("received"), nextChunk: z.int().check(z.gte(0), z.lte(1_000_000)) }),
  z.object({ kind: z.literal("admitted"), version: count }),
]);
export const WorkIn = z.object({ run: RunId, version: count });
export const RevokeIn = z.object({
  run: RunId,
  lease: LeaseId,
  attempt: z.int().check(z.gte(1), z.lte(1_000_000)),
  reason: z.string().check(z.maxLength(500)),
});

const RefusalIn = z.object({
  ok: z.literal(false),
  code: z.string().check(z.maxLength(60)),
  message: z.string().check(z.maxLength(5_000)),
  retryAfterMs: z.optional(z.number().check(z.gte(0), z.lte(1e12))),
});
const AcceptedIn = z.object({ ok: z.literal(true), value: z.unknown() });

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

/** An answer that breaks its schema, or carries a code of another version, becomes `internal`: worth another try, later. */
export function parseReply<T>(schema: z.ZodMiniType<T>, event: string, raw: unknown): Result<T> {
  const refusal = RefusalIn.safeParse(raw);
  if (refusal.success) {
    const { code, message, retryAfterMs } = refusal.data;
    return isCode(code) ? refuse(code, message, retryAfterMs) : refuse("internal", `${code}: ${message}`, retryAfterMs);
  }
  const accepted = AcceptedIn.safeParse(raw);
  const value = accepted.success ? schema.safeParse(accepted.data.value) : accepted;
  return value.success ? ok(value.data as T) : refuse("internal", `The coordinator's answer to "${event}" cannot be read.`);
}
