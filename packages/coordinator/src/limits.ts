// The coordinator's own bounds with their reasons; those that both sides must know stand in @weft/protocol.
import {
  MAX_MESSAGES_PER_SECOND,
  MAX_RECEIVING_PER_ADDRESS,
  MAX_RECEIVING_UPLOADS,
  MAX_SESSIONS_PER_ADDRESS,
  MAX_SPOOL_BYTES,
} from "@weft/protocol";
import type { CoordinatorLimits } from "./api.ts";

export const DEFAULT_LIMITS: CoordinatorLimits = {
  sessionsPerAddress: MAX_SESSIONS_PER_ADDRESS,
  messagesPerSecond: MAX_MESSAGES_PER_SECOND,
  // A reconnect resends a hello, a header and a window of chunks at once; two seconds' worth covers it.
  messageBurst: 2 * MAX_MESSAGES_PER_SECOND,
  spoolBytes: MAX_SPOOL_BYTES,
  receivingUploads: MAX_RECEIVING_UPLOADS,
  receivingPerAddress: MAX_RECEIVING_PER_ADDRESS,
  // A page reload or a change of network takes one to two seconds.
  reconnectGraceMs: 3_000,
  // A self-test runs before the connection, so an honest hello follows the challenge at once.
  helloMs: 20_000,
  // Each running run keeps a round, its projections and a place in the workers' queue.
  activeRuns: 100,
};

/** Messages of one session that are being answered at once: a window of chunks, a lease request, progress, and room. */
export const MAX_IN_FLIGHT = 32;
/** Hellos that one connection may get wrong before it is ended: each costs the checking of a signature. */
export const MAX_REFUSED_HELLOS = 5;
/** Messages refused for their rate within this time before the connection is ended: each answer stands in memory until its reader takes it. */
export const MAX_RATE_LIMITED = 50;
export const RATE_LIMITED_WINDOW_MS = 10_000;
/** Notices of work to one session in a second; those beyond become one for each run at the next tick. */
export const MAX_WORK_NOTICES_PER_SECOND = 5;
/** Whole uploads of one assignment with other bytes than were signed for before it ends: each leaves a record in the ledger. */
export const MAX_REFUSED_UPLOADS = 3;
/** Where a run has no lease now, a volunteer waits there this long before it is offered another run's work. */
export const PATIENCE_MS = 1_000;
/** A volunteer that works elsewhere counts as present in a run for this long after its last lease there. */
export const VISIT_MS = 60_000;
/** A contribution whose connection is gone and whose assignment is not ended keeps its bytes this long. */
export const UPLOAD_IDLE_MS = 10 * 60_000;
/** An upload that sends nothing for so long while others wait loses its place: a line of 0.25 Mbit/s still brings a chunk in this time. */
export const UPLOAD_STALLED_MS = 10_000;
/** A coordinator that stops waits for uploads that are being sent; one of which nothing came for so long is not: a chunk at 1 Mbit/s takes 2 s. */
export const UPLOAD_PAUSED_MS = 2_000;
/** Shortest and longest wait that is named to who waits for a place, and what each one ahead in the line adds: they do not come at once. */
export const PLACE_WAIT_MS = 200;
export const PLACE_WAIT_EACH_MS = 40;
export const PLACE_WAIT_LONGEST_MS = 10_000;
/** Places are held as long as an upload takes: an eighth of its time at 10 Mbit/s, so that a sender's eight tries are not spent before one is free. */
export const PLACE_WAIT_BYTES_PER_MS = 10_000;
/** A turn in the line is kept for so long after it was due: the sender's own back-off and a slow line. */
export const PLACE_KEPT_MS = 1_000;
/** Uploads that stand in the line; more are only told to come again. */
export const MAX_WAITING_UPLOADS = 1_024;
/** Verdicts on uploads kept for a sender that lost its acknowledgement, over all runs; an older admission is known from the ledger. */
export const KEPT_VERDICTS = 1_024;
/** Verdicts remembered for a volunteer that lost its acknowledgement, per run. */
export const REMEMBERED_VERDICTS = 4_096;
/** Inputs of one run that wait for their turn; more means that storage has stopped. */
export const MAX_QUEUED_INPUTS = 20_000;
/** First and longest wait before failed work (closing, evaluating, writing a checkpoint, reopening a ledger) is tried again. */
export const RETRY_FIRST_MS = 1_000;
export const RETRY_LONGEST_MS = 60_000;
