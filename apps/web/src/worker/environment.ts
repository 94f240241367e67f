// What only the page can see: freezing, thawing and the battery. Injected, so that tests can pretend. Knows nothing of the volunteer.

export interface EnvironmentHandlers {
  readonly frozen: (frozen: boolean) => void;
  readonly onBattery: (onBattery: boolean) => void;
  /** The page goes away for good: the lease should be given back now. */
  readonly leaving: () => void;
}
/** Starts watching; the answer stops it. */
export type Environment = (handlers: EnvironmentHandlers) => () => void;

interface Battery extends EventTarget {
  readonly charging: boolean;
}

/** A hidden tab goes on working; a frozen one cannot, and a page in the back-forward cache is frozen too. */
export const browserEnvironment: Environment = ({ frozen, onBattery, leaving }) => {
  const abort = new AbortController();
  const { signal } = abort;
  document.addEventListener("freeze", () => frozen(true), { signal });
  document.addEventListener("resume", () => frozen(false), { signal });
  addEventListener("pagehide", (event) => (event.persisted ? frozen(true) : leaving()), { signal });
  addEventListener("pageshow", (event) => event.persisted && frozen(false), { signal });
  const getBattery = (navigator as { getBattery?: () => Promise<Battery> }).getBattery;
  // A browser that does not tell is taken as being on mains.
  getBattery?.call(navigator).then(
    (battery) => {
      if (signal.aborted) return;
      onBattery(!battery.charging);
      battery.addEventListener("chargingchange", () => onBattery(!battery.charging), { signal });
    },
    () => onBattery(false),
  );
  return () => abort.abort();
};
