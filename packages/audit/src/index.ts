export { ARCHIVE_FORMAT, type ArchiveTable, type IncrementalHash, type MakeHash } from "./archive/archive-format.ts";
export { type ArchiveFile, type OpenedArchive, openArchive, type SpoiledPart } from "./archive/read-archive.ts";
export { type ArchiveSpool, NotWhole, type WriteArchiveOptions, type WrittenArchive, writeArchive } from "./archive/write-archive.ts";
export type { Finding, FindingCode } from "./findings.ts";
export { type HttpSourceOptions, httpSource } from "./http-source.ts";
export { type Provable, type ProvableSpan, spanInWords } from "./proof.ts";
export { type Replay, type ReplayedVersion, type ReplayOptions, replay } from "./replay.ts";
export { type RunSource, SourceDamaged, storageSource } from "./run-source.ts";
export { type Verification, type VerifyOptions, type VerifyProgress, verify, verifyArchive } from "./verify.ts";
