// Reading over HTTP: runs, ledgers, specifications, checkpoints, contributions, data sets, blobs. Changes nothing. Paths stand in app.ts.
import type { HttpBindings } from "@hono/node-server";
import type { CoordinatorApi } from "@weft/coordinator";
import { type CheckpointView, ok, type RunDetail } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import type { Context } from "hono";
import type { DatasetShelf } from "../dataset-shelf.ts";
import { answer, NO_STORE, stop } from "./answers.ts";
import { serveBytes, sizeOrStop } from "./bytes.ts";
import { MAX_CONTRIBUTION_READS, MAX_LEDGER_READS, places, sendLimitMs } from "./cost-limits.ts";
import type { RunsOfBlobs } from "./runs-of-blobs.ts";

/** Records of one ledger answer unless asked otherwise, and at most. */
const LEDGER_PAGE = 1000;

export interface RunRoutesContext {
  readonly coordinator: CoordinatorApi;
  readonly storage: Storage;
  readonly datasets: DatasetShelf;
  readonly blobs: RunsOfBlobs;
}

const param = (context: Context, name: string): string => context.req.param(name) ?? "";
const detailOrStop = ({ coordinator }: RunRoutesContext, run: string): RunDetail =>
  coordinator.detail(run) ?? stop("unknown-run", `There is no run "${run.slice(0, 60)}".`);

/** A whole number from the query; absent: `fallback`. */
function queryNumber(context: Context, name: string, fallback: number, low: number, high: number): number {
  const text = context.req.query(name);
  if (text === undefined) return fallback;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high)) stop("bad-message", `"${name}" must be a whole number from ${low} to ${high}.`);
  return value;
}

export function runRoutes(shell: RunRoutesContext) {
  const { coordinator, storage, datasets, blobs } = shell;
  const ledgerPlace = places(MAX_LEDGER_READS);
  const contributionPlace = places(MAX_CONTRIBUTION_READS);
  const checkpointOrStop = (detail: RunDetail, wanted: string): CheckpointView => {
    const found = wanted === "latest" ? detail.newestCheckpoint : detail.checkpoints.find(({ version }) => String(version) === wanted);
    return found ?? stop("unknown-version", `Run "${detail.run}" has no checkpoint "${wanted.slice(0, 20)}".`);
  };
  return {
    runs: (context: Context) => answer(context, ok(coordinator.runs())),
    run: (context: Context) => answer(context, ok(detailOrStop(shell, param(context, "run")))),

    async ledger(context: Context) {
      const { run, ledger } = detailOrStop(shell, param(context, "run"));
      const from = queryNumber(context, "from", 0, 0, Number.MAX_SAFE_INTEGER);
      const limit = queryNumber(context, "limit", LEDGER_PAGE, 1, LEDGER_PAGE);
      const release = await ledgerPlace(context.req.raw.signal);
      const lines = await coordinator
        .ledger(run, from, limit)
        .then((records) => records?.map((record) => `${JSON.stringify(record)}\n`).join(""))
        .finally(release);
      if (lines === undefined) stop("unknown-run", `There is no run "${run}".`);
      return context.body(lines, 200, { ...NO_STORE, "content-type": "application/x-ndjson", "x-weft-ledger-seq": String(ledger.seq) });
    },

    spec(context: Context) {
      const { run, spec } = detailOrStop(shell, param(context, "run"));
      return context.body(`${JSON.stringify(spec, null, 2)}\n`, 200, {
        ...NO_STORE,
        "content-type": "application/json",
        "content-disposition": `attachment; filename="${run}.json"`,
      });
    },

    checkpoints: (context: Context) => answer(context, ok(detailOrStop(shell, param(context, "run")).checkpoints)),

    async checkpoint(context: Context) {
      const detail = detailOrStop(shell, param(context, "run"));
      const wanted = param(context, "version");
      const { version, archive } = checkpointOrStop(detail, wanted);
      await sizeOrStop(storage.blobs, archive.sha256);
      const file = `${detail.run}-v${String(version).padStart(6, "0")}.zip`;
      return serveBytes(context, storage.blobs, {
        ...archive,
        headers: {
          "content-type": "application/zip",
          "content-disposition": `attachment; filename="${file}"`,
          // "latest" names another archive later.
          ...(wanted === "latest" ? { "cache-control": "no-cache" } : {}),
        },
        sent: (bytes) => coordinator.noteBytesOut(detail.run, bytes),
      });
    },

    async contribution(context: Context) {
      const { run } = detailOrStop(shell, param(context, "run"));
      const sha256 = param(context, "sha256");
      if (!/^[0-9a-f]{64}$/.test(sha256)) stop("unknown-blob", "This run keeps no contribution of this hash.");
      const release = await contributionPlace(context.req.raw.signal);
      const { outgoing } = context.env as HttpBindings;
      // The bytes are in memory until the last of them has left, so the place is kept as long.
      outgoing.once("close", release);
      if (outgoing.destroyed || outgoing.closed) release();
      const bytes = await storage.contributions.get(run, sha256);
      if (bytes === null) stop("unknown-blob", "This run keeps no contribution of this hash.");
      const late = setTimeout(() => outgoing.destroy(), sendLimitMs(bytes.length));
      outgoing.once("close", () => clearTimeout(late));
      coordinator.noteBytesOut(run, bytes.length);
      // A storage gives bytes of their own buffer.
      return context.body(bytes as Uint8Array<ArrayBuffer>, 200, {
        "content-type": "application/octet-stream",
        "cache-control": "public, max-age=31536000, immutable",
        etag: `"${sha256}"`,
      });
    },

    datasets: async (context: Context) => answer(context, ok(await datasets.list())),
    async dataset(context: Context) {
      const id = param(context, "id");
      const found = await datasets.manifest(id);
      return answer(context, ok((found ?? stop("unknown-dataset", `There is no data set "${id.slice(0, 60)}".`)).manifest));
    },

    async blob(context: Context) {
      const sha256 = param(context, "sha256");
      const sizeBytes = await sizeOrStop(storage.blobs, sha256);
      const run = blobs.runOf(sha256);
      return serveBytes(context, storage.blobs, { sha256, sizeBytes, sent: (bytes) => coordinator.noteBytesOut(run, bytes) });
    },
  };
}
