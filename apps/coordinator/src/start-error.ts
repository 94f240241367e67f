// A start that cannot succeed, told in one sentence. The command prints `message` and exits with code 1.

export type StartErrorCode =
  | "port-in-use"
  | "port-forbidden"
  | "bad-address"
  | "data-unwritable"
  | "data-in-use"
  | "damaged-database"
  | "damaged-ledger"
  | "tls-missing"
  | "tls-invalid"
  | "bad-key"
  | "bad-config";

export class StartError extends Error {
  readonly code: StartErrorCode;
  constructor(code: StartErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StartError";
    this.code = code;
  }
}

/** The `code` of a Node system error (`EADDRINUSE`, `EACCES`), or null. */
export const systemCode = (error: unknown): string | null =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : null;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
