export { CHECKPOINT_FILES, type CheckpointFile, type CheckpointFiles, checkpointFolder } from "./checkpoint-files.ts";
export { type Checkpoint, checkpointSpec, checkpointWeights, readCheckpoint } from "./read-checkpoint.ts";
export { type Unzipped, unzip } from "./unzip.ts";
export { writeCheckpoint } from "./write-checkpoint.ts";
