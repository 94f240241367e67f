// The one list of error codes that both sides share: for each, the HTTP status, whether to retry, and what the volunteer should do.
// Does not know where an error arises.

type Advice = "reload" | "retry" | "next-lease" | "resend" | "stop" | "fix" | "sign-in";
interface CodeInfo {
  readonly status: number;
  readonly retry: boolean;
  /** What the one who receives it should do next. */
  readonly advice: Advice;
}

export const ERROR_CODES = {
  // the message itself
  "bad-message": { status: 400, retry: false, advice: "fix" },
  "too-large": { status: 413, retry: false, advice: "fix" },
  "rate-limited": { status: 429, retry: true, advice: "retry" },
  "not-found": { status: 404, retry: false, advice: "fix" },
  "method-not-allowed": { status: 405, retry: false, advice: "fix" },
  "bad-origin": { status: 403, retry: false, advice: "fix" },
  internal: { status: 500, retry: true, advice: "retry" },
  unavailable: { status: 503, retry: true, advice: "retry" },
  // who is speaking
  "protocol-version": { status: 400, retry: false, advice: "reload" },
  "bad-signature": { status: 403, retry: false, advice: "stop" },
  "bad-nonce": { status: 403, retry: true, advice: "retry" },
  "bad-name": { status: 400, retry: false, advice: "fix" },
  "hello-first": { status: 403, retry: true, advice: "retry" },
  "self-test-failed": { status: 403, retry: false, advice: "stop" },
  blocked: { status: 403, retry: false, advice: "stop" },
  "too-many-sessions": { status: 429, retry: true, advice: "retry" },
  unauthorized: { status: 401, retry: false, advice: "sign-in" },
  forbidden: { status: 403, retry: false, advice: "stop" },
  "bad-token": { status: 401, retry: false, advice: "sign-in" },
  // leases
  "no-work": { status: 409, retry: true, advice: "retry" },
  "run-not-active": { status: 409, retry: true, advice: "retry" },
  "too-many-assignments": { status: 429, retry: true, advice: "retry" },
  "unknown-run": { status: 404, retry: false, advice: "next-lease" },
  "unknown-version": { status: 404, retry: false, advice: "fix" },
  "unknown-blob": { status: 404, retry: false, advice: "fix" },
  "unknown-lease": { status: 404, retry: false, advice: "next-lease" },
  "not-your-lease": { status: 403, retry: false, advice: "next-lease" },
  "lease-settled": { status: 409, retry: false, advice: "next-lease" },
  "lease-expired": { status: 409, retry: false, advice: "next-lease" },
  stale: { status: 409, retry: false, advice: "next-lease" },
  // contributions
  "unknown-upload": { status: 404, retry: false, advice: "next-lease" },
  "bad-chunk": { status: 400, retry: true, advice: "resend" },
  "wrong-length": { status: 400, retry: false, advice: "next-lease" },
  "wrong-hash": { status: 400, retry: true, advice: "resend" },
  "wrong-codec": { status: 400, retry: false, advice: "next-lease" },
  "wrong-sample-count": { status: 400, retry: false, advice: "next-lease" },
  "not-finite": { status: 400, retry: false, advice: "next-lease" },
  /** A finite update too large to be one (MAX_UPDATE_NORM). */
  "norm-outlier": { status: 400, retry: false, advice: "next-lease" },
  "bad-payload": { status: 400, retry: false, advice: "next-lease" },
  "spool-full": { status: 503, retry: true, advice: "retry" },
  duplicate: { status: 409, retry: false, advice: "next-lease" },
  // runs, data, storage
  "bad-spec": { status: 400, retry: false, advice: "fix" },
  "bad-dataset": { status: 400, retry: false, advice: "fix" },
  "unknown-dataset": { status: 404, retry: false, advice: "fix" },
  "bad-command": { status: 409, retry: false, advice: "fix" },
  damaged: { status: 500, retry: false, advice: "stop" },
  "disk-full": { status: 507, retry: true, advice: "retry" },
} as const satisfies Record<string, CodeInfo>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The shape in which every refusal travels, over sockets and HTTP alike. */
export interface Refusal {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
}
export interface Accepted<T> {
  readonly ok: true;
  readonly value: T;
}
export type Result<T> = Accepted<T> | Refusal;

export const ok = <T>(value: T): Accepted<T> => ({ ok: true, value });
export const refuse = (code: ErrorCode, message: string, retryAfterMs?: number): Refusal =>
  retryAfterMs === undefined ? { ok: false, code, message } : { ok: false, code, message, retryAfterMs };
