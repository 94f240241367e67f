// The volunteer that people run, over real sockets, with a plain engine: it trains, comes back by itself whatever happens to its coordinator,
// and notes what it was told; and what of that a ledger does not keep. Knows no coordinator's process.
import { createHash } from "node:crypto";
import { volunteerData } from "@weft/datasets";
import { createIdentity } from "@weft/ledger";
import { type ContributionHeader, type ContributionOpen, decodeFrame, type LedgerRecord } from "@weft/protocol";
import { drawSample, visitedSample } from "@weft/training";
import { type Clock, httpBlobs, socketTransport, systemClock, type Transport, Volunteer } from "@weft/volunteer";
import { io } from "socket.io-client";
import { mlpEngine } from "./mlp-engine.ts";

/** What volunteers were told, which must hold whatever happens. */
export interface Heard {
  /** Headers whose admission was acknowledged, by `answerKey`. */
  readonly admitted: Map<string, ContributionHeader>;
  /** Uploads that went on where they had been interrupted. */
  resumed: number;
  leases: number;
}
export const nothingHeard = (): Heard => ({ admitted: new Map(), resumed: 0, leases: 0 });
export const answerKey = ({ lease, attempt, sha256 }: Pick<ContributionHeader, "lease" | "attempt" | "sha256">): string =>
  `${lease}/${attempt}/${sha256}`;

/** Notes what the coordinator answers. */
const listening = (inner: Transport, heard: Heard): Transport => {
  const headers = new Map<string, ContributionHeader>();
  const keyOf = ({ lease, attempt }: { lease: string; attempt: number }): string => `${lease}/${attempt}`;
  return {
    connect(handlers) {
      const connection = inner.connect(handlers);
      return {
        close: () => connection.close(),
        async request(event, message, timeoutMs) {
          if (event === "contribution") {
            const { header } = message as ContributionOpen;
            headers.set(keyOf(header), header);
          }
          const answer = await connection.request(event, message, timeoutMs);
          const { ok, value } = answer as { ok: boolean; value?: { kind?: string; nextChunk?: number } };
          if (!ok) return answer;
          if (event === "lease" && value?.kind === "lease") heard.leases += 1;
          if (event === "contribution" && (value?.nextChunk ?? 0) > 0) heard.resumed += 1;
          if (event === "chunk" && value?.kind === "admitted") {
            const frame = decodeFrame(message as Uint8Array);
            const header = headers.get(keyOf(frame?.header as { lease: string; attempt: number }));
            if (header !== undefined) heard.admitted.set(answerKey(header), header);
          }
          return answer;
        },
      };
    },
  };
};

/** Goes ten times as fast as time: a volunteer that waits before it connects again shall not keep a test waiting. */
export const hastyClock: Clock = {
  now: () => 10 * systemClock.now(),
  sleep: (ms) => systemClock.sleep(ms / 10),
};

export interface SteadyOptions {
  readonly url: string;
  readonly seed: number;
  readonly heard: Heard;
  /** Milliseconds that each step takes at least. */
  readonly stepMs?: number;
  readonly clock?: Clock;
}
export function steadyVolunteer({ url, seed, heard, stepMs = 0, clock = systemClock }: SteadyOptions): Volunteer {
  const { publicKey, sign } = createIdentity(createHash("sha256").update(`steady ${seed}`).digest());
  return new Volunteer({
    identity: { volunteer: publicKey, sign: async (domain, value) => sign(domain, value) },
    createEngine: async () => mlpEngine(() => systemClock.sleep(stepMs)),
    data: (blobs) => volunteerData({ blobs, draw: drawSample, visit: visitedSample }),
    blobs: httpBlobs(url),
    hash: async (bytes) => createHash("sha256").update(bytes).digest("hex"),
    clock,
    transport: listening(socketTransport(url, io), heard),
    origin: url,
    seed,
  });
}

export interface BrokenPromises {
  /** Acknowledged and not in the ledger. */
  readonly lost: readonly string[];
  /** Counted in more than one place. */
  readonly twice: readonly string[];
  /** Admitted for a version that was made, and not counted in it; or counted and never admitted. */
  readonly uncounted: readonly string[];
}

/** Of one run without roll-backs in which every admitted answer counts. `records` from the first on. */
export function brokenPromises(heard: Heard, records: readonly LedgerRecord[]): BrokenPromises {
  const admitted = records.flatMap(({ event }) => (event.type === "contribution-admitted" ? [event.header] : []));
  const versions = records.flatMap(({ event }) => (event.type === "version-published" ? [event] : []));
  const keys = new Set(admitted.map(answerKey));
  const counted = versions.flatMap(({ contributions }) => contributions.map(({ lease, sha256 }) => `${lease} ${sha256}`));
  const due = admitted
    .filter(({ lease }) => Number(lease.split(".")[0]) < versions.length)
    .map(({ lease, sha256 }) => `${lease} ${sha256}`);
  const [dueSet, countedSet] = [new Set(due), new Set(counted)];
  const repeated = (list: readonly string[]): string[] => {
    const seen = new Set<string>();
    return list.filter((one) => seen.size === seen.add(one).size);
  };
  return {
    lost: [...heard.admitted.keys()].filter((key) => !keys.has(key)),
    twice: [
      ...repeated(admitted.map(({ lease }) => lease)),
      ...repeated(counted),
      ...repeated(versions.map(({ version }) => `version ${version}`)),
    ],
    uncounted: [...due.filter((one) => !countedSet.has(one)), ...counted.filter((one) => !dueSet.has(one))],
  };
}
