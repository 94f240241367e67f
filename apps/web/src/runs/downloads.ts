// Addresses of what a run gives away. Knows only their form.

export const downloadOf = (run: string, version: number): string => `/api/runs/${run}/checkpoints/${version}`;
export const specOf = (run: string): string => `/api/runs/${run}/spec`;
/** A checkpoint unpacks into a folder of this name. */
export const folderOf = (run: string, version: number): string => `${run}-v${String(version).padStart(6, "0")}`;
