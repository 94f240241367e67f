// The volunteer's waits and bounds, each with its reason. Knows nothing of who waits.

/** First wait before connecting again, and the longest: short, because the lease is kept only until its deadline. */
export const RECONNECT_FIRST_MS = 500;
export const RECONNECT_LONGEST_MS = 10_000;
/** From the attempt to connect to the welcome: a slow line needs a few round trips; a dead one should not hold the volunteer. */
export const OPENING_MS = 15_000;
/** An acknowledgement other than a chunk's: the coordinator answers within a group commit, the rest is the line. */
export const REQUEST_TIMEOUT_MS = 15_000;
/** A window of four chunks on a line of 0.5 Mbit/s takes 17 s. */
export const CHUNK_TIMEOUT_MS = 60_000;
/** Goodbye is a courtesy: the connection closes after this long without an answer. */
export const GOODBYE_MS = 1_000;
/** Progress is for people's eyes: once a second. */
export const PROGRESS_MS = 1_000;
/** Bounds on the wait for a lease, whatever the coordinator says: a work notice usually comes sooner. */
export const ASK_SOONEST_MS = 100;
export const ASK_LATEST_MS = 60_000;
/** Waits after a lease that could not be done, doubled each time. */
export const FAULT_FIRST_MS = 1_000;
export const FAULT_LONGEST_MS = 60_000;
/** An upload is begun again this often at most before its lease is given back. */
export const MAX_UPLOAD_TRIES = 8;
/** A device that fails this often without one admitted contribution in between is not used any more. */
export const MAX_DEVICE_FAULTS = 3;
/** Refusals in a row that only a person can mend (advice "fix") before the volunteer gives up. */
export const MAX_FIX_REFUSALS = 5;
/** Weight of the newest micro-batch in the measured speed. */
export const SPEED_WEIGHT = 0.2;
/** What is kept for the page. */
export const MAX_LOSSES = 200;
export const MAX_SHARES = 200;
/** A deadline longer than this is not believed: no specification allows more than an hour. */
export const MAX_DEADLINE_MS = 3_600_000;
/** First wait before an upload is begun again, doubled each time. */
export const RESEND_FIRST_MS = 100;
/** A lease shorter than this is not worth asking for the next one before its verdict: most likely that is of the next version anyway. */
export const OVERLAP_FROM_MS = 250;
/** The next lease is asked for this much before its fetching must begin, so that it is there in time on a line whose speed varies. */
export const AHEAD_FACTOR = 1.5;
export const AHEAD_MS = 500;
