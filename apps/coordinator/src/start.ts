// The composition root: settings become folders, threads, accounts, the core, one server with routes and sockets; and all of it ends in order.
import { randomBytes } from "node:crypto";
import { getRequestListener } from "@hono/node-server";
import { Coordinator, type CoordinatorApi, diskSpool } from "@weft/coordinator";
import { type Disk, StorageFault } from "@weft/storage";
import { openDatabase } from "@weft/storage/accounts";
import { type Logger, pino } from "pino";
import { type Accounts, openAccounts } from "./accounts/accounts.ts";
import { limitAttempts } from "./accounts/limits.ts";
import { makeGate } from "./accounts/who.ts";
import { type Addresses, addressesOf } from "./addresses.ts";
import { runInProcess } from "./child-process.ts";
import { type CoordinatorConfig, type Settings, settingsOf } from "./config.ts";
import { coordinatorKeyOf, signatureChecker } from "./coordinator-key.ts";
import { type DataFolder, openDataFolder } from "./data-folder.ts";
import { type DatasetShelf, openShelf } from "./dataset-shelf.ts";
import { demonstrationRuns } from "./demonstration.ts";
import { makeApp, unreadable } from "./http/app.ts";
import { originPolicy } from "./http/origins.ts";
import { runsOfBlobs } from "./http/runs-of-blobs.ts";
import { indexSite } from "./http/static.ts";
import { listen, makeServer } from "./listen.ts";
import { type LoopLag, measureLoopLag } from "./loop-lag.ts";
import { makeMetrics } from "./metrics.ts";
import { type Parts, realParts } from "./parts.ts";
import { serveSockets } from "./sockets/server.ts";
import { messageOf, StartError } from "./start-error.ts";
import { collectStartup } from "./thread-memory.ts";
import { openThreadPool, type ThreadPool } from "./thread-pool.ts";
import { ThreadFault } from "./threads.ts";

const TICK_MS = 500;
/** What is arriving may take so long to finish when the coordinator stops; the process as a whole ends within 10 s. */
const FINISH_MS = 6_000;

/** Downloads that are under way when it stops may take so long to end. */
const DRAIN_MS = 1_000;

export interface StartedCoordinator {
  readonly port: number;
  readonly addresses: Addresses;
  /** Admin page, with the one-time token in its fragment where no password stands yet. */
  readonly adminUrl: string;
  /** For what runs in the same process: the terminal's progress, tests. */
  readonly coordinator: CoordinatorApi;
  readonly loopLag: LoopLag;
  /** What was found and mended at opening, in sentences. */
  readonly recovered: readonly string[];
  /** Resolves if the coordinator can no longer go on: its storage is lost. */
  readonly failure: Promise<Error>;
  /** Offers nothing more, finishes what is arriving, stores everything, closes. Idempotent. */
  stop(): Promise<void>;
}

/** Runs what was opened backwards, each step even if one before it failed. */
class Closers {
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  #done: Promise<void> | null = null;
  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }
  run(log: Logger): Promise<void> {
    this.#done ??= this.#run(log);
    return this.#done;
  }
  async #run(log: Logger): Promise<void> {
    for (const step of this.#steps.reverse())
      try {
        await step();
      } catch (error) {
        log.error({ err: error }, "closing");
      }
  }
}

const codeOf = (error: unknown): string | null => (error instanceof StorageFault || error instanceof ThreadFault ? error.code : null);

/** A fault of storage at start, as the sentence that ends the start. */
function startErrorOf(error: unknown, what: "database" | "ledger", folder: string): unknown {
  const code = codeOf(error);
  if (code === "damaged")
    return what === "ledger"
      ? new StartError("damaged-ledger", `A ledger cannot be read. ${messageOf(error)}`, { cause: error })
      : new StartError("damaged-database", messageOf(error), { cause: error });
  if (code === null) return error;
  return new StartError("data-unwritable", messageOf(error).includes(folder) ? messageOf(error) : `${folder}: ${messageOf(error)}`, {
    cause: error,
  });
}

async function openAccountsIn(folder: DataFolder, settings: Settings, baseURL: string): Promise<Accounts> {
  const file = folder.file("accounts.db");
  try {
    return await openAccounts({
      database: await openDatabase<never>(file),
      secret: await folder.secret("sessions.key"),
      baseURL,
      secure: settings.tls !== null,
      now: settings.now,
    });
  } catch (error) {
    if (error instanceof StartError) throw error;
    const mapped = startErrorOf(error, "database", folder.path);
    if (mapped instanceof StartError) throw mapped;
    throw new StartError(
      "damaged-database",
      `The accounts database ${file} cannot be used (${messageOf(error)}). Restore it from a backup, or move it away.`,
      {
        cause: error,
      },
    );
  }
}

async function openCore(
  settings: Settings,
  folder: DataFolder,
  pool: ThreadPool,
  shelf: DatasetShelf,
  named: (origin: string) => boolean,
  log: Logger,
  disk: Disk,
): Promise<{ readonly core: Coordinator; readonly key: string }> {
  const key = coordinatorKeyOf(await folder.secret("coordinator.key"));
  const core = await Coordinator.open({
    storage: pool.storage,
    compute: pool.compute,
    key,
    verify: signatureChecker(),
    clock: { now: Date.now, monotonicMs: () => performance.now() },
    datasets: shelf,
    code: settings.code,
    spool: diskSpool(disk, folder.file("spool")),
    origins: named,
    random: () => randomBytes(16).toString("hex"),
    log: (line) => log.info(line),
  }).catch((error: unknown) => {
    throw startErrorOf(error, "ledger", folder.path);
  });
  return { core, key: key.publicKey };
}

async function createDemonstrations(core: CoordinatorApi, shelf: DatasetShelf, log: Logger): Promise<void> {
  const demonstrations = demonstrationRuns(await shelf.list());
  const there = new Set(core.runs().map(({ run }) => run));
  // A start that was interrupted may have made one of them; where there is another run, the person has begun, and needs none.
  if ([...there].some((run) => !demonstrations.some(({ name }) => name === run))) return;
  for (const spec of demonstrations) {
    if (there.has(spec.name)) continue;
    const made = await core.createRun(spec, "coordinator");
    if (!made.ok) log.error({ code: made.code }, `the demonstration run ${spec.name} could not be made: ${made.message}`);
  }
}

/** Throws a StartError whose message is one sentence for people. Whatever was opened before is closed again. */
export async function startCoordinator(config: CoordinatorConfig = {}, parts: Parts = realParts()): Promise<StartedCoordinator> {
  const settings = settingsOf(config);
  const log = pino({ level: settings.logLevel }, settings.logTo ?? pino.destination({ dest: 2, sync: false }));
  const closers = new Closers();
  try {
    return await start(settings, parts, log, closers);
  } catch (error) {
    await closers.run(log);
    throw error;
  }
}

async function start(settings: Settings, parts: Parts, log: Logger, closers: Closers): Promise<StartedCoordinator> {
  const secure = settings.tls !== null;
  const loopLag = measureLoopLag();
  closers.add(() => loopLag.stop());
  const folder = await openDataFolder(settings.dataFolder, parts.disk);
  closers.add(() => folder.release());
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<Error>((resolve) => {
    fail = resolve;
  });

  let core: Coordinator | null = null;
  const metrics = makeMetrics(() => core, loopLag);
  const broken = (line: string, kind: string, error?: unknown): void => {
    metrics.error(kind);
    log.error(error === undefined ? {} : { err: error }, line);
  };
  // The port first of all that takes time: the most common mistake is a coordinator that runs already.
  let answer: ReturnType<typeof getRequestListener> | null = null;
  const http = await makeServer(settings, (request, response) => {
    if (answer !== null) void answer(request, response);
    else
      response
        .writeHead(503, { "content-type": "application/json", "retry-after": "1" })
        .end('{"ok":false,"code":"unavailable","message":"The coordinator is starting."}');
  });
  const port = await listen(http, settings);
  closers.add(() => {
    http.closeAllConnections();
    return new Promise((resolve) => http.close(resolve));
  });
  const pool = await openThreadPool({
    folder: folder.path,
    spool: folder.file("spool"),
    storageWorker: parts.storageWorker,
    onStorageLost: (error) => {
      broken(error.message, "storage");
      fail(error);
    },
    log: (line) => broken(line, "thread"),
  }).catch((error: unknown) => {
    throw startErrorOf(error, "ledger", folder.path);
  });
  closers.add(() => pool.close());
  const addresses = addressesOf(settings.host, port, secure);
  const origins = originPolicy({ host: settings.host, secure, origins: settings.origins });

  const accounts = await openAccountsIn(folder, settings, new URL(addresses.volunteer).origin);
  closers.add(() => accounts.close());
  const shelf = await openShelf(folder.path, pool.storage.blobs, () =>
    runInProcess("embedded-worker", { folder: folder.path }, { put: (bytes: Uint8Array) => pool.storage.blobs.put(bytes) }),
  );
  const opened = await openCore(settings, folder, pool, shelf, origins.originNamed, log, parts.disk);
  core = opened.core;
  const coordinator = parts.around(core);
  if (settings.demonstrations) await createDemonstrations(coordinator, shelf, log);

  const gate = makeGate(accounts, await folder.secret("admin.key"));
  const app = makeApp({
    coordinator,
    storage: pool.storage,
    datasets: shelf,
    blobs: runsOfBlobs(coordinator),
    accounts,
    gate,
    attempts: limitAttempts(),
    origins,
    metrics,
    log,
    secure,
    site: settings.webRoot === null ? null : await indexSite(settings.webRoot),
    name: settings.name,
    coordinatorKey: opened.key,
    allowSoftwareGpu: settings.allowSoftwareGpu,
  });
  answer = getRequestListener(app.fetch, { hostname: settings.host, overrideGlobalObjects: false, errorHandler: unreadable });
  const sockets = serveSockets({ http, coordinator, accounts, gate, origins });
  closers.add(async () => {
    const closed = sockets.close();
    http.closeIdleConnections();
    await withLimit(closed, DRAIN_MS);
  });

  const ticking = setInterval(() => {
    coordinator.tick().catch((error: unknown) => broken("tick", "tick", error));
  }, TICK_MS);
  closers.add(async () => {
    await withLimit(coordinator.close(), FINISH_MS);
    clearInterval(ticking);
  });

  for (const line of pool.storage.recovered) log.warn(line);
  const token = await accounts.signInToken();
  collectStartup();
  loopLag.reset();
  log.info({ port, folder: folder.path }, "coordinator started");
  return {
    port,
    addresses,
    adminUrl: token === null ? addresses.admin : `${addresses.admin}#token=${token}`,
    coordinator,
    loopLag,
    recovered: pool.storage.recovered,
    failure,
    stop: () => closers.run(log),
  };
}

async function withLimit(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
