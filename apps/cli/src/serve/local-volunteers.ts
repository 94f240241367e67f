// Lends this machine: the default browser where there is a display, volunteers in Node otherwise. Knows no coordinator beyond its address.
import { type ChildProcess, spawn } from "node:child_process";

export interface LendOptions {
  readonly url: string;
  readonly volunteers: number;
  /** False: never open a browser. */
  readonly open: boolean;
  /** The coordinator's certificate is its own: children of this machine trust it unseen. */
  readonly secure: boolean;
  readonly say: (line: string) => void;
}

export interface Lent {
  /** Ends the volunteers that were started here; a browser is the person's own. */
  end(): Promise<void>;
}

/** How long a child may take to leave by itself. */
const LEAVE_MS = 2_000;

export const hasDisplay = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv): boolean =>
  platform === "darwin" || platform === "win32" || Boolean(env.DISPLAY) || Boolean(env.WAYLAND_DISPLAY);

const opener = (platform: NodeJS.Platform, url: string): readonly [string, readonly string[]] => {
  if (platform === "darwin") return ["open", [url]];
  if (platform === "win32") return ["cmd", ["/c", "start", '""', url.replaceAll("&", "^&")]];
  return ["xdg-open", [url]];
};

/** True when the system said that it opened the address. */
function openBrowser(url: string): Promise<boolean> {
  const [command, args] = opener(process.platform, url);
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "ignore", detached: process.platform !== "win32" });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
    // A browser that the opener itself became runs on; that is an opened one.
    setTimeout(() => resolve(true), 3_000).unref();
    child.unref();
  });
}

function startNodeVolunteer(url: string, secure: boolean): ChildProcess {
  const main = process.argv[1];
  if (main === undefined) throw new Error("the command line does not know its own file");
  return spawn(process.execPath, [...process.execArgv, main, "donate", url, "--local"], {
    // The channel tells the child when this process is gone, however it went.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, ...(secure ? { NODE_TLS_REJECT_UNAUTHORIZED: "0" } : {}) },
  });
}

export async function lendThisMachine({ url, volunteers, open, secure, say }: LendOptions): Promise<Lent> {
  const children = new Set<ChildProcess>();
  let ending = false;
  const startInNode = (count: number, why: string): void => {
    if (count === 0) return;
    say(`Lending this machine in Node, ${count === 1 ? "as one volunteer" : `as ${count} volunteers`} (${why}).`);
    for (let index = 0; index < count; index++) {
      const child = startNodeVolunteer(url, secure);
      children.add(child);
      let lastWords = "";
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        lastWords = `${lastWords}${text}`.slice(-2_000);
      });
      child.once("error", (error) => say(`A local volunteer could not be started: ${error.message}`));
      child.once("exit", (code) => {
        children.delete(child);
        if (ending || code === 0) return;
        say(`A local volunteer ended with code ${code}${lastWords === "" ? "." : `: ${lastWords.trim().split("\n").at(-1)}`}`);
      });
    }
  };

  if (volunteers > 0) {
    const display = open && hasDisplay(process.platform, process.env);
    if (display && (await openBrowser(`${url}?lend=1`))) {
      say("Lending this machine in your default browser: a tab was opened.");
      startInNode(volunteers - 1, "beside the browser");
    } else startInNode(volunteers, display ? "no browser could be opened" : open ? "there is no display" : "as asked by --no-open");
  }

  const killAll = (): void => {
    for (const child of children) child.kill("SIGKILL");
  };
  process.once("exit", killAll);
  return {
    async end() {
      ending = true;
      const gone = [...children].map((child) => new Promise<void>((resolve) => child.once("exit", () => resolve())));
      for (const child of children) child.kill("SIGTERM");
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LEAVE_MS);
      });
      await Promise.race([Promise.all(gone), late]);
      clearTimeout(timer);
      killAll();
      process.off("exit", killAll);
    },
  };
}
