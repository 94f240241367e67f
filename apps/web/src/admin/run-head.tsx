// The run at a glance: its name and commands, and the round now in the coordinator's own words.

import { Link } from "@tanstack/react-router";
import type { RunDetail, RunOrigin, TroubleView } from "@weft/protocol";
import { type CSSProperties, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { tintOf } from "../cloth/geometry.ts";
import { useLive } from "../live/observer.ts";
import { useNow } from "../live/use-now.ts";
import { clock, count, moment, percent, plural } from "../words/figures.ts";
import { originWords } from "../words/lineage-words.ts";
import { capital, modelName, nameOf, phaseEnded, runState, shortVolunteer } from "../words/run-words.ts";
import { troubleWords } from "../words/trouble-words.ts";
import { Confirm } from "./dialog.tsx";
import { useCommand } from "./session.ts";

function Commands({ detail }: { detail: RunDetail }) {
  const command = useCommand();
  const [stopping, setStopping] = useState(false);
  const { run, name, phase } = detail;
  return (
    <div className="acts">
      <Link className="btn tight" to="/runs/$run" params={{ run }}>
        Its page
      </Link>
      {phase === "running" && (
        <button className="btn tight" type="button" disabled={command.isPending} onClick={() => command.mutate({ type: "pause-run", run })}>
          Pause
        </button>
      )}
      {phase === "paused" && (
        <button
          className="btn tight"
          type="button"
          disabled={command.isPending}
          onClick={() => command.mutate({ type: "resume-run", run })}
        >
          Resume
        </button>
      )}
      {!phaseEnded(phase) && (
        <button className="btn tight" type="button" onClick={() => setStopping(true)}>
          Stop…
        </button>
      )}
      {command.error !== null && !stopping && (
        <p className="notice" role="alert">
          {sentenceOf(command.error)}
        </p>
      )}
      {stopping && (
        <Confirm
          title={`Stop ${name} for good`}
          text={`No lease of ${name} is given out any more, and a stopped run cannot be resumed. Its ${plural(detail.version, "version")}, checkpoints and ledger are kept.`}
          keep={`Keep ${name} running`}
          act={`Stop ${name}`}
          pending={command.isPending}
          failure={command.error === null ? null : sentenceOf(command.error)}
          onKeep={() => setStopping(false)}
          onAct={() => command.mutate({ type: "stop-run", run }, { onSuccess: () => setStopping(false) })}
        />
      )}
    </div>
  );
}

function Pick({ detail }: { detail: RunDetail }) {
  const { leases } = detail.round;
  const place = new Map(detail.volunteers.map((view, index) => [view.volunteer, index]));
  const name = (volunteer: string | null): string => {
    if (volunteer === null) return "nobody yet";
    const view = detail.volunteers[place.get(volunteer) ?? -1];
    return view === undefined ? shortVolunteer(volunteer) : nameOf(view);
  };
  const isIn = leases.filter((lease) => lease.state === "in").length;
  const out = leases.filter((lease) => lease.state === "out");
  const label = `${isIn} of ${plural(leases.length, "lease")} in; ${out.length} on their way${
    out.length === 0
      ? ""
      : `, at ${out
          .slice(0, 8)
          .map((lease) => percent(lease.progress, 0))
          .join(", ")}`
  }`;
  return (
    <div className="pick" role="img" aria-label={label}>
      {leases.map((lease) => (
        <i
          key={lease.lease}
          className={lease.state === "in" ? "" : lease.state === "out" ? "open" : "free"}
          style={
            {
              flex: lease.samples,
              "--c": `var(--thread-${tintOf(place.get(lease.volunteer ?? "") ?? 0)})`,
              "--p": percent(lease.progress, 0).replace(" ", ""),
            } as CSSProperties
          }
          title={`${lease.lease}, ${plural(lease.samples, "sample")}, ${name(lease.volunteer)}${lease.state === "out" ? `, ${percent(lease.progress, 0)} done` : ""}`}
        />
      ))}
    </div>
  );
}

/** Time of the round until its next deadline. */
function Clock({ detail }: { detail: RunDetail }) {
  const nowMs = useNow(500) - useLive((live) => live.clockSkewMs);
  const { openedAtMs, leases } = detail.round;
  const deadlines = leases.flatMap((lease) => (lease.state === "out" && lease.deadlineAtMs !== null ? [lease.deadlineAtMs] : []));
  const next = deadlines.length === 0 ? null : Math.min(...deadlines);
  const part = next === null || next <= openedAtMs ? 0 : Math.min(1, Math.max(0, (nowMs - openedAtMs) / (next - openedAtMs)));
  return (
    <>
      <div
        className="clock"
        role="progressbar"
        aria-label="Time until the next deadline of this round"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(part * 100)}
        style={{ "--p": `${(part * 100).toFixed(1)}%` } as CSSProperties}
      />
      <p className="note closes">
        {count(detail.round.samplesIn)} of {plural(detail.round.samplesWanted, "sample")} in
        {next !== null && ` · next deadline ${clock(next)}`}
      </p>
    </>
  );
}

/** Where the run comes from, as a link to its parent on this desk. */
function Origin({ origin }: { origin: RunOrigin }) {
  return (
    <p className="origin small quiet">
      {capital(originWords(origin))}{" "}
      <Link to="/admin" search={{ run: origin.run }}>
        {origin.run}
      </Link>
    </p>
  );
}

function Trouble({ run, trouble }: { run: string; trouble: TroubleView }) {
  const { title, next } = troubleWords(trouble);
  return (
    <div className="notice trouble" role="alert">
      <div>
        <p>
          <b>{title}</b> {trouble.message}
        </p>
        <p className="small">{next}</p>
        {trouble.kind === "damaged" && <code>npx weft verify {run}</code>}
      </div>
    </div>
  );
}

export function RunHead({ detail }: { detail: RunDetail }) {
  const { shape, word } = runState(detail);
  const { spec } = detail;
  const nowMs = useNow(60_000);
  return (
    <>
      <div className="top">
        <h1>{detail.name}</h1>
        <span className={`state ${shape}`}>{capital(word)}</span>
        <span className="note">
          {modelName(detail)}, {plural(detail.parameters, "parameter")} · {spec.training.mode}, {spec.training.codec} · since{" "}
          {moment(detail.createdAtMs, nowMs)}
        </span>
        <Commands detail={detail} />
      </div>
      {detail.origin !== null && <Origin origin={detail.origin} />}
      <section aria-label="The round now">
        {detail.trouble === null ? (
          <div className="why">
            <p>{detail.round.reason}</p>
          </div>
        ) : (
          <Trouble run={detail.run} trouble={detail.trouble} />
        )}
        {detail.phase === "running" && (
          <>
            <Pick detail={detail} />
            <Clock detail={detail} />
          </>
        )}
      </section>
    </>
  );
}
