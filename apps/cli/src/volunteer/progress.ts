// A volunteer's snapshot as one line of text. Knows no terminal.
import { shortKey } from "@weft/protocol";
import type { VolunteerSnapshot, VolunteerStatus } from "@weft/volunteer";

export function statusText(status: VolunteerStatus, nowMs: number): string {
  switch (status.state) {
    case "starting":
      return { "self-test": "testing this device", connecting: "connecting", "first-lease": "asking for work", fetching: "fetching" }[
        status.step
      ];
    case "waiting":
      return `waiting: ${status.reason}`;
    case "offline":
      return `no connection, next attempt in ${Math.max(0, Math.ceil((status.retryAtMs - nowMs) / 1000))} s`;
    case "recovering":
      return status.retryAtMs === null ? "the device was lost; trying it again" : `the device was lost: ${status.detail}`;
    case "refused":
      return `refused (${status.code}): ${status.message}`;
    case "unfit":
      return `this device cannot be used: ${status.detail}`;
    case "idle":
    case "working":
    case "paused":
    case "finishing":
    case "stopped":
    case "elsewhere":
      return status.state;
    default:
      return status satisfies never;
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export function progressText(snapshot: VolunteerSnapshot, nowMs: number): string {
  const { status, lease, device, admitted, samples, samplesPerSecond, losses, bytesUp, bytesDown, volunteer } = snapshot;
  const parts = [
    snapshot.name ?? (volunteer === null ? "volunteer" : shortKey(volunteer)),
    statusText(status, nowMs),
    lease === null ? null : `${lease.run} v${lease.version} ${lease.phase} ${lease.step}/${lease.steps}`,
    `${admitted} accepted`,
    `${samples} samples`,
    samplesPerSecond === null ? null : `${samplesPerSecond < 10 ? samplesPerSecond.toFixed(1) : Math.round(samplesPerSecond)} samples/s`,
    losses.length === 0 ? null : `loss ${losses.at(-1)?.toFixed(3)}`,
    `up ${megabytes(bytesUp)}, down ${megabytes(bytesDown)}`,
    device === null ? null : device.description,
  ];
  return parts.filter((part) => part !== null).join(" · ");
}
