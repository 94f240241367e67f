// One tab of a browser is the volunteer; the others wait for their turn. A Web Lock also keeps the browser from freezing a working tab.
// Knows nothing of volunteering.

export interface SoleTab {
  /** Resolves when this tab's turn has come. `waiting` is called once if another tab has it now. Rejects with AbortError when left before. */
  enter(waiting: () => void): Promise<void>;
  /** Lets the next tab take over, or stops waiting. */
  leave(): void;
}

export function soleTab(name: string, locks: LockManager | undefined = globalThis.navigator.locks): SoleTab {
  let leaving: AbortController | null = null;
  let release: (() => void) | null = null;
  return {
    async enter(waiting) {
      // Outside a secure context there are no locks; nothing can be known of other tabs then.
      if (locks === undefined || release !== null) return;
      leaving?.abort();
      const abort = new AbortController();
      leaving = abort;
      const ours = await locks.query().then(({ held = [] }) => held.every((lock) => lock.name !== name));
      if (!ours) waiting();
      await new Promise<void>((resolve, reject) => {
        locks
          .request(
            name,
            { signal: abort.signal },
            () =>
              new Promise<void>((done) => {
                release = done;
                resolve();
              }),
          )
          .catch(reject);
      });
    },
    leave() {
      leaving?.abort();
      leaving = null;
      release?.();
      release = null;
    },
  };
}
