// A run at a running coordinator, read as any stranger may read it: ledger pages, blobs and contributions over HTTP. Knows no command line.
import { MAX_CONTRIBUTION_BYTES, RunId, type Sha256 } from "@weft/protocol";
import { MAX_ENTRY_BYTES } from "./archive/archive-format.ts";
import type { RunSource } from "./run-source.ts";

/** Records of one page, the most that a coordinator answers with. */
const PAGE = 1_000;
/** A page of records of 25 KB each, as versions made of a hundred contributions have. */
const MAX_PAGE_BYTES = 64 * 1024 ** 2;
/** A coordinator that is busy names a wait; after so many in a row it is given up. */
const MAX_WAITS = 60;
/** A connection that breaks, as an idle one does that the other side has just closed, is made again so often for one answer. */
const MAX_FAILURES = 3;
const DEFAULT_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

export interface HttpSourceOptions {
  /** Answers a GET of a path of the coordinator. */
  readonly get: (path: string) => Promise<Response>;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Throws a RangeError where `run` is no run's id. Requests that the coordinator refuses otherwise than with "not here" reject with its words. */
export function httpSource(run: string, { get, sleep }: HttpSourceOptions): RunSource {
  if (!RunId.safeParse(run).success) throw new RangeError(`${run} is no run's id`);

  async function ask(path: string): Promise<Response> {
    for (let [waits, failures] = [0, 0]; ; waits += 1) {
      const response = await get(path).catch((error: unknown) => {
        failures += 1;
        if (failures >= MAX_FAILURES) throw error;
        return null;
      });
      if (response === null) {
        await sleep(DEFAULT_WAIT_MS);
        continue;
      }
      if ((response.status !== 429 && response.status !== 503) || waits >= MAX_WAITS) return response;
      await response.body?.cancel();
      const seconds = Number(response.headers.get("retry-after") ?? "");
      await sleep(Math.min(LONGEST_WAIT_MS, seconds > 0 ? 1000 * seconds : DEFAULT_WAIT_MS));
    }
  }

  async function bytes(path: string, atMost: number): Promise<Uint8Array | null> {
    const response = await ask(path);
    if (response.status === 404 && (await codeOf(response)) === "unknown-blob") return null;
    if (!response.ok) throw await refusalOf(response);
    return bodyOf(response, atMost);
  }

  return {
    run,
    data: "included",
    async *records(fromSeq = 0) {
      for (let from = fromSeq; ; ) {
        const response = await ask(`/api/runs/${run}/ledger?from=${from}&limit=${PAGE}`);
        if (!response.ok) throw await refusalOf(response);
        const text = new TextDecoder().decode(await bodyOf(response, MAX_PAGE_BYTES));
        if (text === "") return;
        for (const line of text.split("\n")) {
          if (line === "") continue;
          from += 1;
          yield jsonOf(line);
        }
      }
    },
    blob: (sha256: Sha256) => bytes(`/blobs/${sha256}`, MAX_ENTRY_BYTES),
    contribution: (sha256: Sha256) => bytes(`/api/runs/${run}/contributions/${sha256}`, MAX_CONTRIBUTION_BYTES),
  };
}

/** Undefined for what is no JSON: it is then no record either. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function envelopeOf(response: Response): Promise<{ readonly code?: unknown; readonly message?: unknown }> {
  const text = new TextDecoder().decode(await bodyOf(response, MAX_PAGE_BYTES));
  const value = jsonOf(text);
  return typeof value === "object" && value !== null ? value : {};
}
const codeOf = async (response: Response): Promise<unknown> => (await envelopeOf(response.clone())).code;
async function refusalOf(response: Response): Promise<Error> {
  const { message } = await envelopeOf(response);
  return new Error(typeof message === "string" ? message : `The coordinator refused (${response.status}).`);
}

/** The whole body; rejects above `atMost` bytes, however it is sent. */
async function bodyOf(response: Response, atMost: number): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) break;
    total += next.value.length;
    if (total > atMost) {
      await reader?.cancel();
      throw new Error(`The coordinator sent more than ${atMost} bytes for one thing.`);
    }
    pieces.push(next.value);
  }
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
