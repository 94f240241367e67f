// One plain sentence for each event that a person would want to read in a log; null for the many that are only counted. Names are data:
// whoever shows a sentence escapes it.
import { type EventOf, f32FromHex, type LedgerEvent, shortKey, type VolunteerId } from "@weft/protocol";

type NameOf = (volunteer: VolunteerId) => string | null;

const contributions = (n: number): string => `${n} ${n === 1 ? "contribution" : "contributions"}`;
/** Three significant digits after the leading zeros are as much as a log needs. */
const figure = (hex: string): string => {
  const value = f32FromHex(hex);
  return Math.abs(value) >= 0.001 && Math.abs(value) < 1e6 ? value.toFixed(3) : value.toPrecision(3);
};
const percent = (hex: string): string => `${(100 * f32FromHex(hex)).toFixed(1)} %`;

export function sentenceOf(event: LedgerEvent, nameOf: NameOf): string | null {
  const who = (volunteer: VolunteerId): string => nameOf(volunteer) ?? shortKey(volunteer);
  switch (event.type) {
    case "run-created":
      return `Run ${event.run} created with ${event.parameters.toLocaleString("en-US")} parameters${originOf(event)}`;
    case "run-adopted":
      return `Taken over by another coordinator, whose key is ${shortKey(event.coordinator)}`;
    case "run-paused":
      return `Paused by ${event.by}`;
    case "run-resumed":
      return `Resumed by ${event.by}`;
    case "run-stopped":
      return `Stopped by ${event.by}${abandonedOf(event.abandoned)}`;
    case "run-finished":
      return `Finished at v${event.version}`;
    case "run-rolled-back":
      return `Rolled back to v${event.to} by ${event.by}: v${event.version} has its weights${abandonedOf(event.abandoned)}`;
    case "volunteer-joined":
      return `${event.name ?? shortKey(event.volunteer)} joined with ${event.device.backend}${event.device.software ? " (software)" : ""}`;
    case "volunteer-left":
      return `${who(event.volunteer)} ${LEFT[event.reason]}`;
    case "volunteer-blocked":
      return `${who(event.volunteer)} blocked by ${event.by}`;
    case "volunteer-unblocked":
      return `${who(event.volunteer)} unblocked by ${event.by}`;
    case "round-opened":
    case "round-closing":
    case "lease-assigned":
    case "contribution-admitted":
      return null;
    case "assignment-ended":
      return event.reason === "expired" ? `Lease ${event.lease} of ${who(event.volunteer)} expired and can be given again` : null;
    case "contribution-refused":
      return `Refused ${who(event.volunteer)}${event.lease === null ? "" : ` on lease ${event.lease}`}: ${event.code}`;
    case "version-published":
      return `v${event.version} published from ${contributions(event.contributions.length)}, loss ${figure(event.lossMean)}`;
    case "version-evaluated":
      return evaluationSentence(event);
    case "checkpoint-written":
      return `Checkpoint of v${event.version} written`;
    default:
      return event satisfies never;
  }
}

const originOf = ({ origin }: EventOf<"run-created">): string =>
  origin === undefined || origin === null
    ? ""
    : `, ${origin.change === "resume" ? "resumed" : "forked"} from v${origin.version} of run ${origin.run}`;

const abandonedOf = (abandoned: EventOf<"run-stopped">["abandoned"] = []): string =>
  abandoned.length === 0 ? "" : `; ${contributions(abandoned.length)} of the open round will not be counted`;

const LEFT: Readonly<Record<EventOf<"volunteer-left">["reason"], string>> = {
  goodbye: "left",
  silent: "fell silent",
  restart: "did not come back after a restart",
  blocked: "was sent away",
};

function evaluationSentence({ version, evaluation }: EventOf<"version-evaluated">): string {
  const { accuracy, lossMean } = evaluation;
  return `v${version} evaluated: held-out loss ${figure(lossMean)}${accuracy === null ? "" : `, accuracy ${percent(accuracy)}`}`;
}
