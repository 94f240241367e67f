// Every named bound on what comes from outside, with its reason beside the number. Knows nothing of who enforces it.

/** One contribution chunk. Small enough that a heartbeat is never stuck behind it on a 10 Mbit/s line (0.2 s). */
export const CHUNK_BYTES = 256 * 1024;
/** Chunks in flight before the sender waits for an acknowledgement: fills a 50 ms line at 100 Mbit/s, bounds memory at 1 MiB a sender. */
export const CHUNK_WINDOW = 4;
/** Socket.IO closes the connection on a larger message, so it must hold one chunk with its frame header and nothing much larger. */
export const MAX_SOCKET_MESSAGE_BYTES = 1024 * 1024;
/** A frame's JSON header; the largest honest one is under 300 bytes. */
export const MAX_FRAME_HEADER_BYTES = 4096;
/** Parameters of a run. 100 M f32 parameters are 400 MB: more does not fit a tab. */
export const MAX_PARAMETERS = 100_000_000;
/** A whole encoded contribution: MAX_PARAMETERS at 4 bytes and change. */
export const MAX_CONTRIBUTION_BYTES = 4 * MAX_PARAMETERS + 1024;
/**
 * Euclidean norm of one update. Far above honest ones (f16 and int8 cannot even say 1e9 for MAX_PARAMETERS values), far below what overflows:
 * its square is 1e24 and a sum over 1e14 samples 1e26, where f32 ends at 3.4e38. So no admitted updates can make a round's sums infinite.
 */
export const MAX_UPDATE_NORM = 1e12;
/** Bytes of all unfinished uploads spooled at once, over all volunteers. */
export const MAX_SPOOL_BYTES = 2 * 1024 ** 3;
/**
 * Uploads that may send at once, over all volunteers: each has up to CHUNK_WINDOW chunks in flight, so the coordinator holds at most 24 MiB
 * of them in memory. 24 lines of 10 Mbit/s fill 240 Mbit/s; more at once would only make each slower.
 */
export const MAX_RECEIVING_UPLOADS = 24;
/** Of these from one address: a class behind one router shares one line anyway, and nobody alone keeps all others from sending. */
export const MAX_RECEIVING_PER_ADDRESS = 8;
/** Open assignments of one key: one computing, one uploading. */
export const MAX_OPEN_ASSIGNMENTS = 2;
/** Sessions from one address: a school class or an office behind one router. */
export const MAX_SESSIONS_PER_ADDRESS = 256;
/** A name is 1 to 32 characters (code points), NFC, without control or bidirectional marks. */
export const MAX_NAME_CHARACTERS = 32;
/** A device description string; real adapters stay under 100. */
export const MAX_DEVICE_CHARACTERS = 120;
/** A run specification as JSON. The largest sensible one is under 4 KB. */
export const MAX_SPEC_BYTES = 64 * 1024;
/** Body of any JSON POST. */
export const MAX_JSON_BODY_BYTES = 128 * 1024;
/** Samples of one lease: above it, the deadline would be hours on any device. */
export const MAX_LEASE_SAMPLES = 1_000_000;
/** Clients to whom a data set is dealt out: the record that makes a run names each one's samples, and stays under 64 KiB. */
export const MAX_CLIENTS = 10_000;
/** Messages a second one volunteer may send on average; a 1 MB/s upload needs 4 chunks a second plus heartbeats. */
export const MAX_MESSAGES_PER_SECOND = 50;
/** A time that a volunteer says it has spent: nobody lends a tab for ten years. Keeps sums of such times exact. */
export const MAX_SPENT_MS = 10 * 366 * 86_400_000;
/** Deltas that an assignment names. Three of int8 are cheaper than a snapshot of f32; the tiniest models could have a few more. */
export const MAX_DELTAS = 4;
/** Ping interval and how long silence may last before a session is gone: 13 s in all, under the promised 15 s. */
export const PING_INTERVAL_MS = 5_000;
export const PING_TIMEOUT_MS = 8_000;
/** Projection patches to an observer: at most five a second. */
export const OBSERVER_PATCH_MS = 200;
/** The admin's sign-in token is single use and lives a quarter of an hour. */
export const ADMIN_TOKEN_MS = 15 * 60_000;
