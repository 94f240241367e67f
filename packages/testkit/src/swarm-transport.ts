// A transport around the real one: slow by a latency, cut when the volunteer drops out, and counting what passes. Knows no volunteer.
import { type ChunkHeader, type ContributionHeader, decodeFrame, refuse } from "@weft/protocol";
import { type Connection, systemClock, type Transport } from "@weft/volunteer";

/** What all volunteers of a swarm did, counted on their own side of the wire. */
export interface SwarmCounts {
  connections: number;
  leases: number;
  admitted: number;
  samplesAdmitted: number;
  bytesUp: number;
  /** Refusals of the coordinator by code. */
  readonly refused: Record<string, number>;
}
export const noCounts = (): SwarmCounts => ({ connections: 0, leases: 0, admitted: 0, samplesAdmitted: 0, bytesUp: 0, refused: {} });

interface Reply {
  readonly ok?: unknown;
  readonly code?: unknown;
  readonly value?: { readonly kind?: unknown } | null;
}

export interface SwarmTransport extends Transport {
  /** The line breaks without a goodbye, and no other is made. */
  vanish(): void;
}

/** `latencyMs` is a round trip's; half of it passes on each way. */
export function swarmTransport(inner: Transport, latencyMs: number, counts: SwarmCounts): SwarmTransport {
  let line: Connection | null = null;
  let gone = false;
  /** Samples of uploads under way, by lease: a volunteer may send two at once. */
  const samplesOf = new Map<string, number>();
  const half = async (): Promise<void> => {
    if (latencyMs > 0) await systemClock.sleep(latencyMs / 2);
  };
  const count = (event: string, message: unknown, reply: Reply | null): void => {
    if (reply?.ok === false && typeof reply.code === "string") counts.refused[reply.code] = (counts.refused[reply.code] ?? 0) + 1;
    if (event === "lease" && reply?.ok === true && reply.value?.kind === "lease") counts.leases += 1;
    if (event === "chunk" && reply?.ok === true && reply.value?.kind === "admitted") {
      counts.admitted += 1;
      const chunk = message instanceof Uint8Array ? (decodeFrame(message)?.header as Partial<ChunkHeader> | undefined) : undefined;
      const lease = `${chunk?.run} ${chunk?.lease}`;
      counts.samplesAdmitted += samplesOf.get(lease) ?? 0;
      samplesOf.delete(lease);
    }
  };
  return {
    connect(handlers) {
      if (gone) {
        queueMicrotask(() => handlers.disconnected("gone"));
        return { request: async () => refuse("unavailable", "gone"), close() {} };
      }
      counts.connections += 1;
      const made = inner.connect({
        connected: () => handlers.connected(),
        disconnected: (reason) => handlers.disconnected(reason),
        notice: (event, message) => {
          if (latencyMs === 0) handlers.notice(event, message);
          else void half().then(() => handlers.notice(event, message));
        },
      });
      let over = false;
      line = made;
      return {
        async request(event, message, timeoutMs) {
          await half();
          if (gone || over) return refuse("unavailable", "gone");
          if (event === "contribution") {
            const { run, lease, samples } = (message as { readonly header: ContributionHeader }).header;
            samplesOf.set(`${run} ${lease}`, samples);
          }
          if (message instanceof Uint8Array) counts.bytesUp += message.length;
          const reply: unknown = await made.request(event, message, timeoutMs);
          if (!gone && !over) count(event, message, reply as Reply | null);
          await half();
          return reply;
        },
        close() {
          over = true;
          made.close();
        },
      };
    },
    vanish() {
      gone = true;
      line?.close();
    },
  };
}
