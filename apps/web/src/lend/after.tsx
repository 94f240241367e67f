// What the reader sees when nothing runs any more, or not now: paused, stopped, refused, unfit, or lending in another tab.
import { ERROR_CODES, type ErrorCode, type RunDetail } from "@weft/protocol";
import { useNow } from "../live/use-now.ts";
import { clock, count, duration, loss } from "../words/figures.ts";
import type { UnfitReason, VolunteerSnapshot } from "../worker/client.ts";
import { lender } from "./lender.ts";

const HOUR_MS = 3_600_000;

export function Paused({ sinceMs, untilMs, detail }: { sinceMs: number; untilMs: number | null; detail: RunDetail | null }) {
  const nowMs = useNow();
  return (
    <div>
      <p className="run-head">
        <span className="state held">Paused</span>
        <span className="small quiet">for {duration(Math.max(0, Math.round((nowMs - sinceMs) / 1000) * 1000))}</span>
      </p>
      <h1 id="head">Your thread is resting.</h1>
      <p className="lead">
        Nothing runs on your machine. What you sent before is {detail === null ? "counted" : `in ${detail.name}`}; the lease you had was
        given back for someone else, so nothing is lost.
        {untilMs !== null && ` It goes on by itself at ${clock(untilMs, false)}.`}
      </p>
      <p className="go">
        <button className="btn main big" type="button" data-anchor="" onClick={lender.resume}>
          Go on weaving
        </button>
      </p>
      <p className="acts small">
        <span className="quiet">Or go on by itself in</span>{" "}
        {[1, 3, 12].map((hours) => (
          <button key={hours} className="btn tight" type="button" onClick={() => lender.pause(hours * HOUR_MS)}>
            {hours} h
          </button>
        ))}
        <button className="btn plain" type="button" onClick={lender.stop}>
          Stop for now
        </button>
      </p>
    </div>
  );
}

/** Held-out loss when the reader came and now; null where no evaluation fell in between. */
export function progressSince(detail: RunDetail | null, sinceMs: number): { readonly from: number; readonly to: number } | null {
  const points = detail?.evaluations ?? [];
  const newest = points[points.length - 1];
  const before = points.filter((point) => point.atMs <= sinceMs);
  const first = before[before.length - 1];
  return first === undefined || newest === undefined || newest === first ? null : { from: first.lossMean, to: newest.lossMean };
}

export function Stopped({
  snapshot,
  detail,
  skewMs,
  again,
}: {
  snapshot: VolunteerSnapshot;
  detail: RunDetail | null;
  skewMs: number;
  again: () => void;
}) {
  const since = snapshot.startedAtMs === null ? null : progressSince(detail, snapshot.startedAtMs - skewMs);
  return (
    <div>
      <p className="run-head">
        <span className="state done">Stopped</span>
        <span className="small quiet">nothing is running</span>
      </p>
      <h1 id="head">
        {snapshot.admitted === 0 ? "Your machine is your own again." : `You are woven into ${detail?.name ?? "the model"}.`}
      </h1>
      <dl className="figs">
        <div>
          <dt>Steps</dt>
          <dd>{count(snapshot.steps)}</dd>
        </div>
        <div>
          <dt>Samples</dt>
          <dd>{count(snapshot.samples)}</dd>
        </div>
        <div>
          <dt>Leases accepted</dt>
          <dd>
            {count(snapshot.admitted)} <span className="unit">of {count(snapshot.admitted + snapshot.refused)}</span>
          </dd>
        </div>
      </dl>
      <p className="lead">
        {since !== null &&
          `While you were here the model’s loss on data it never trains on went from ${loss(since.from)} to ${loss(since.to)}. `}
        {snapshot.admitted === 0 ? "No lease of yours was counted this time." : "Your part is in the run’s ledger, under your key."}
      </p>
      <p className="go">
        <button className="btn main big" type="button" onClick={again}>
          Lend again
        </button>
      </p>
    </div>
  );
}

/** What the one who is refused can do, by the code's advice. */
function helpFor(code: ErrorCode): string {
  switch (ERROR_CODES[code].advice) {
    case "reload":
      return "The coordinator speaks a newer language than this page. Reload the page to fetch the new one.";
    case "retry":
      return "This may pass by itself. Try again in a moment.";
    case "sign-in":
    case "fix":
      return "Trying again may help; if it does not, tell whoever runs this coordinator the code above.";
    case "next-lease":
    case "resend":
      return "Lend again to take another lease.";
    case "stop":
      return "Whoever runs this coordinator can say more about it.";
    default:
      return ERROR_CODES[code] satisfies never;
  }
}

export function Refused({ code, message, again }: { code: ErrorCode; message: string; again: () => void }) {
  const reload = ERROR_CODES[code].advice === "reload";
  return (
    <div>
      <p className="run-head">
        <span className="state fault">Refused</span>
        <code>{code}</code>
      </p>
      <h1 id="head" className="middling">
        The coordinator said no.
      </h1>
      <p className="lead">
        {message} {helpFor(code)} What was accepted before stays counted.
      </p>
      <p className="go">
        <button className="btn main big" type="button" onClick={reload ? () => location.reload() : again}>
          {reload ? "Reload the page" : "Try again"}
        </button>
      </p>
    </div>
  );
}

const UNFIT: Record<UnfitReason, { readonly title: string; readonly lead: string; readonly way: readonly [name: string, text: string] }> = {
  "wrong-values": {
    title: "This device did not pass the self-test.",
    lead: "Before the first lease, each device computes a gradient whose values are known. Here they did not agree, so nothing of it enters the model:",
    way: ["A newer driver", "or browser often mends it: then try again."],
  },
  lost: {
    title: "This device does not answer any more.",
    lead: "Three times in a row the browser took it away, or could not get it, before a lease was done. What it had in hand was given back:",
    way: ["Other tabs and games", "that use the card may have taken its memory: close them, then try again."],
  },
  failed: {
    title: "What should compute here could not run.",
    lead: "The part of this page that computes stopped. What was accepted before stays counted:",
    way: ["Reload the page", "to fetch it anew."],
  },
};

export function Unfit({
  reason,
  detail,
  device,
  again,
}: {
  reason: UnfitReason;
  detail: string;
  device: string | null;
  again: (fallback: boolean) => void;
}) {
  const { title, lead, way } = UNFIT[reason];
  return (
    <div>
      <p className="run-head">
        <span className="state fault">Not used</span>
        {device !== null && <span className="small quiet">{device}</span>}
      </p>
      <h1 id="head" className="middling">
        {title}
      </h1>
      <p className="lead">{lead}</p>
      <p className="notice">{detail}</p>
      <ul className="ways">
        <li>
          <b>{way[0]}</b>
          <span>{way[1]}</span>
        </li>
        <li>
          <b>The processor</b>
          <span>computes by itself, more slowly, and every step counts.</span>
        </li>
      </ul>
      <p className="go">
        <button className="btn main big" type="button" onClick={() => again(true)}>
          Lend the processor instead
        </button>
        <button className="btn plain" type="button" onClick={() => again(false)}>
          Try the card again
        </button>
      </p>
    </div>
  );
}

export function Elsewhere({ again }: { again: () => void }) {
  return (
    <div>
      <p className="run-head">
        <span className="state held">In another tab</span>
      </p>
      <h1 id="head">You are already weaving, in another tab.</h1>
      <p className="lead">
        Two tabs of one browser share one card and one key, so they count as one volunteer. Close or stop the other to lend from here.
      </p>
      <p className="go">
        <button className="btn main big" type="button" onClick={again}>
          Try again here
        </button>
      </p>
    </div>
  );
}
