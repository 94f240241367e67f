// Why a lease cannot be worked on: for a reason of its own, or because of the device.
import type { ErrorCode } from "@weft/protocol";

/** Why a lease cannot be done here now; expected. */
export class JobFault extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "JobFault";
    this.code = code;
  }
}

/** The engine failed: the device may be lost. */
export class DeviceFault extends Error {
  override readonly name = "DeviceFault";
}
