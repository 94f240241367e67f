// The one volunteer of this page: lives as long as the tab, whichever page is open. Knows the client, no component.
import { createStore } from "zustand/vanilla";
import { getJson } from "../app/api.ts";
import {
  type Capabilities,
  createVolunteerClient,
  detectCapabilities,
  type Effort,
  IDLE_SNAPSHOT,
  type VolunteerClient,
  type VolunteerSnapshot,
} from "../worker/client.ts";

export interface Lending {
  /** What this browser can lend; null until it is found out. */
  readonly capabilities: Capabilities | null;
  readonly snapshot: VolunteerSnapshot | null;
  /** When the button was pressed; null before that and after the end. */
  readonly pressedAtMs: number | null;
}

interface Info {
  readonly allowSoftwareGpu?: boolean;
}

function createLender() {
  const store = createStore<Lending>(() => ({ capabilities: null, snapshot: null, pressedAtMs: null }));
  let client: VolunteerClient | null = null;
  let looking: Promise<Capabilities> | null = null;

  const look = async (): Promise<Capabilities> => {
    // An unreachable coordinator decides nothing: the worker asks again when it starts.
    const info = await getJson<Info>("/api/info").catch((): Info => ({}));
    const capabilities = await detectCapabilities({ allowSoftwareGpu: info.allowSoftwareGpu === true });
    store.setState({ capabilities });
    return capabilities;
  };
  const ensureClient = (): VolunteerClient => {
    if (client !== null) return client;
    client = createVolunteerClient();
    client.subscribe((snapshot) => store.setState({ snapshot }));
    return client;
  };
  return {
    store,
    /** Finds out once what can be lent. */
    capabilities(): Promise<Capabilities> {
      looking ??= look();
      return looking;
    },
    /** Lends to `run`, or to whatever the coordinator has. */
    press(run: string | null, fallback: boolean): void {
      const lending = ensureClient();
      store.setState({ pressedAtMs: Date.now(), snapshot: null });
      lending.start({ run, fallback });
    },
    pause: (forMs?: number): void => client?.pause(forMs === undefined ? undefined : Date.now() + forMs),
    resume: (): void => client?.resume(),
    finish: (): void => client?.finish(),
    stop: (): void => client?.stop(),
    setEffort: (effort: Effort): void => client?.setEffort(effort),
    setName: (name: string | null): void => client?.setName(name),
    setKeepOffBattery: (keepOff: boolean): void => client?.setKeepOffBattery(keepOff),
  };
}
export const lender = createLender();

/** At the console, for people who want to look: `weft.snapshot()`. */
Object.assign(globalThis, { weft: { snapshot: (): VolunteerSnapshot => lender.store.getState().snapshot ?? IDLE_SNAPSHOT } });
