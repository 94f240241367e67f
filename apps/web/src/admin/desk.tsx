// The desk: the rail of runs and, beside it, the chosen run live. Chooses the run; its parts draw themselves.
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Swatch } from "../cloth/swatch.tsx";
import { observer, useLive } from "../live/observer.ts";
import { count } from "../words/figures.ts";
import { quality, runState } from "../words/run-words.ts";
import { CreateRun } from "./create-run.tsx";
import { Curves } from "./curves.tsx";
import { Rejections, WhatHappened } from "./happenings.tsx";
import { LeaseSpans } from "./lease-spans.tsx";
import { RunHead } from "./run-head.tsx";
import { useSessionCall } from "./session.ts";
import { Strip } from "./strip.tsx";
import { VersionList } from "./version-list.tsx";
import { Volunteers } from "./volunteers.tsx";

const route = getRouteApi("/admin");

function Rail({ chosen, onNew }: { chosen: string | null; onNew: () => void }) {
  const runs = useLive((live) => live.runs);
  return (
    <nav className="rail" aria-label="Runs">
      <h2>
        Runs{" "}
        <button className="btn tight" type="button" onClick={onNew}>
          New
        </button>
      </h2>
      <ul>
        {runs.map((run) => {
          const { shape, word } = runState(run);
          const held = quality(run);
          return (
            <li key={run.run}>
              <Link to="/admin" search={{ run: run.run }} aria-current={run.run === chosen ? "page" : undefined}>
                <Swatch run={run.run} sizePx={24} />
                <b>{run.name}</b>
                <span className={`state ${shape}`}>{word}</span>
                <small>
                  v{count(run.version)}
                  {run.version === run.steps ? ` of ${count(run.versions)}` : ` (${count(run.steps)} of ${count(run.versions)})`}
                  {held !== null && ` · ${held.value}`}
                </small>
              </Link>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

export function Desk({ name }: { name: string }) {
  const { run: wanted } = route.useSearch();
  const navigate = route.useNavigate();
  const runs = useLive((live) => live.runs);
  const live = useLive((state) => state.detail);
  const line = useLive((state) => state.line);
  const refusal = useLive((state) => state.refusal);
  const [creating, setCreating] = useState(false);
  const signOut = useSessionCall<Record<string, never>>("/api/admin/sign-out");
  const run = wanted ?? (runs.find((one) => one.phase === "running") ?? runs[0])?.run ?? null;
  useEffect(() => observer.watch(run), [run]);
  const detail = live?.run === run ? live : null;
  useEffect(() => {
    document.title = detail === null ? "Admin · Weft" : `${detail.name}, live · Weft admin`;
  }, [detail?.name, detail]);
  return (
    <div className="desk">
      <Rail chosen={run} onNew={() => setCreating(true)} />
      <main className="work" id="main">
        <p className="who note">
          Signed in as {name}.{" "}
          <button className="btn plain tight" type="button" onClick={() => signOut.mutate({})}>
            Sign out
          </button>
        </p>
        {line === "down" && (
          <p className="notice" role="status">
            <span>
              <b>The line to the coordinator is down.</b> What stands here is the last that came; the page reconnects by itself.
            </span>
          </p>
        )}
        {detail !== null ? (
          <>
            <RunHead detail={detail} />
            <Strip detail={detail} />
            <Curves detail={detail} />
            <LeaseSpans detail={detail} />
            <Volunteers detail={detail} />
            <VersionList key={detail.run} detail={detail} onMade={(made) => void navigate({ search: { run: made } })} />
            <div className="pair">
              <Rejections detail={detail} />
              <WhatHappened detail={detail} />
            </div>
          </>
        ) : (
          <Nothing
            text={refusal ?? (run === null ? (line === "up" ? null : "Asking the coordinator for its runs.") : `Fetching ${run}.`)}
            onNew={() => setCreating(true)}
          />
        )}
      </main>
      {creating && (
        <CreateRun
          onClose={(created) => {
            setCreating(false);
            if (created !== null) void navigate({ search: { run: created } });
          }}
        />
      )}
    </div>
  );
}

const Nothing = ({ text, onNew }: { text: string | null; onNew: () => void }) => (
  <div className="bare nothing">
    <div>
      <h1>{text === null ? "Nothing is on the loom." : "One moment"}</h1>
      <p className="small">{text ?? "Create the first run; volunteers who are here start on it at once."}</p>
      {text === null && (
        <p>
          <button className="btn ink" type="button" onClick={onNew}>
            New run
          </button>
        </p>
      )}
    </div>
  </div>
);
