// A volunteer that has said hello, as the coordinator's parts hand it around.
import type { DeviceInfo, RunId, VolunteerId } from "@weft/protocol";
import type { Session } from "./session.ts";

export interface Member {
  readonly volunteer: VolunteerId;
  readonly name: string | null;
  readonly device: DeviceInfo;
  /** The run it chose at hello; null: whatever there is. */
  readonly run: RunId | null;
  readonly session: Session;
}
