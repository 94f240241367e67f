// Where what lies in a data folder (`.weft`): one place that every application asks, so that all find the same files.

/** Paths inside a data folder. `store` is what openFileStorage opens; its lock guards the whole data folder. */
export const dataFolder = (folder: string) =>
  ({
    store: `${folder}/store`,
    /** One manifest a file: `<id>.json`. */
    datasets: `${folder}/datasets`,
    /** SQLite: accounts and sessions. */
    accounts: `${folder}/accounts.sqlite`,
    /** The coordinator's Ed25519 key. */
    key: `${folder}/coordinator.key`,
    /** Unfinished uploads; emptied at every start. */
    spool: `${folder}/spool`,
  }) as const;
