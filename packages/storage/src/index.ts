export { type Disk, DiskError, type DiskErrorKind, type DiskFile, type DiskLock } from "./disk.ts";
export { type FileStorageOptions, openFileStorage, type Schedule } from "./files.ts";
export { type FolderFiles, folderFiles } from "./folder-files.ts";
export * from "./interfaces.ts";
export { memoryStorage } from "./memory.ts";
export { MemoryDisk, type MemoryDiskOptions, type PowerCut } from "./memory-disk.ts";
export type { MessagePortLike } from "./remote-messages.ts";
export { remoteStorage } from "./remote-storage.ts";
export { serveStorage } from "./serve-storage.ts";
