// What the volunteer asks of a transport: one connection at a time, requests that are answered or given up. Reconnection is the state
// machine's affair. Knows no socket library.

export interface TransportHandlers {
  connected(): void;
  /** Once; also when the attempt to connect failed. Nothing follows it. */
  disconnected(reason: string): void;
  /** Whatever came: the receiver parses it. */
  notice(event: string, message: unknown): void;
}
export interface Connection {
  /** Resolves with the raw answer, or with a Refusal "unavailable" when there is none within `timeoutMs` or the connection ends; rejects never. */
  request(event: string, message: unknown, timeoutMs: number): Promise<unknown>;
  /** No handler is called after it. */
  close(): void;
}
export interface Transport {
  connect(handlers: TransportHandlers): Connection;
}
