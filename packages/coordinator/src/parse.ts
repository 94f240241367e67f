// A message from outside becomes a value of its schema or a refusal that names the field. Never throws, also not on exotic objects.
import { type ErrorCode, type Result, refuse } from "@weft/protocol";

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { readonly issues: readonly Issue[] } };
}

export function parseMessage<T>(schema: Schema<T>, message: unknown): Result<T> {
  const parsed = schema.safeParse(message);
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0];
  const field = (issue?.path ?? []).map(String).join(".").slice(0, 100) || "the message";
  const code: ErrorCode = issue?.path[0] === "name" ? "bad-name" : "bad-message";
  return refuse(code, `${field}: ${(issue?.message ?? "is malformed").slice(0, 200)}`);
}
