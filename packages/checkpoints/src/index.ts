export { CHECKPOINT_FILES, type CheckpointFile, type CheckpointFiles, checkpointFolder, type RecordOf } from "./checkpoint-files.ts";
export { checkpointProvenance, type Provenance } from "./provenance.ts";
export { type Checkpoint, checkpointSpec, checkpointWeights, readCheckpoint } from "./read-checkpoint.ts";
export { checkpointTraining, type TrainingState } from "./training-state.ts";
export { type Unzipped, unzip } from "./unzip.ts";
export { writeCheckpoint } from "./write-checkpoint.ts";
