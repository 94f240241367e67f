// One event of a socket as it arrives: whatever the other side sends, exactly one answer, and none to a function that is not there.
import { type Result, refuse } from "@weft/protocol";
import type { Socket } from "socket.io";

/** A message and a callback; more is not part of the protocol. */
const MAX_ARGUMENTS = 2;

/**
 * Calls `handle` for every event with its single message and sends the result to the acknowledgement, if the sender asked for one. Binary
 * arrives as it is, a view at any offset into a larger, pooled buffer: `handle` lays no typed array over it.
 */
export function answerAll(socket: Socket, handle: (event: string, message: unknown) => Promise<Result<unknown>>): void {
  socket.onAny((event: unknown, ...rest: unknown[]) => {
    const last = rest.at(-1);
    const ack = typeof last === "function" ? (last as (reply: Result<unknown>) => void) : null;
    const messages = ack === null ? rest : rest.slice(0, -1);
    const reply =
      typeof event !== "string" || messages.length >= MAX_ARGUMENTS
        ? Promise.resolve(refuse("bad-message", "one message an event, and one acknowledgement"))
        : handle(event, messages[0]);
    reply
      .catch(() => refuse("internal", "the coordinator failed at this message; it is logged there", 1_000))
      .then((result) => ack?.(result))
      // The connection may be gone by now.
      .catch(() => undefined);
  });
}
