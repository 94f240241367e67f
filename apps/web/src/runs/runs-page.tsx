// Every run with its data, licence, progress and newest checkpoint. Lists only; a run's own page tells the rest.

import { Link } from "@tanstack/react-router";
import type { RunSummary } from "@weft/protocol";
import { type CSSProperties, useEffect, useState } from "react";
import { Spark } from "../charts/spark.tsx";
import { Swatch } from "../cloth/swatch.tsx";
import { observer, useLive } from "../live/observer.ts";
import { bytes, count, plural } from "../words/figures.ts";
import { isClassifier, licence, modelName, people, quality, runState } from "../words/run-words.ts";
import { downloadOf } from "./downloads.ts";
import "../styles/runs.css";

export const matches = (run: RunSummary, find: string): boolean => {
  const wanted = find.trim().toLowerCase();
  const text = [run.name, run.description, run.model, run.dataset.name, run.dataset.license, licence(run.dataset.license), run.license];
  return wanted === "" || text.join(" ").toLowerCase().includes(wanted);
};

function Quality({ run }: { run: RunSummary }) {
  const held = quality(run);
  if (held === null)
    return (
      <>
        <p className="quiet">nothing yet</p>
        <div className="bare spark-bare" />
      </>
    );
  return (
    <>
      <p>
        <b>{held.value}</b> <span className="note">{held.unit}</span>
      </p>
      {run.spark.length > 1 && <Spark values={run.spark} />}
    </>
  );
}

function Row({ run }: { run: RunSummary }) {
  const { shape, word } = runState(run);
  const newest = run.newestCheckpoint;
  return (
    <tr>
      <td>
        <Swatch run={run.run} sizePx={56} />
      </td>
      <td>
        <h2>
          <Link to="/runs/$run" params={{ run: run.run }}>
            {run.name}
          </Link>
        </h2>
        <p className="quiet">{run.description}</p>
      </td>
      <td>
        <p>
          {run.dataset.name}, {count(run.dataset.samples)} {isClassifier(run) ? "samples" : "characters"}
        </p>
        <p className="note">{licence(run.dataset.license)}</p>
      </td>
      <td className="wide">
        <p>{modelName(run)}</p>
        <p className="note">{plural(run.parameters, "parameter")}</p>
      </td>
      <td>
        <span className="weave" style={{ "--p": `${Math.min(100, (100 * run.steps) / run.versions)}%` } as CSSProperties} />
        <p>
          version {count(run.version)}
          <span className="quiet">
            {run.version === run.steps ? "" : `, round ${count(run.steps)}`} of {count(run.versions)}
          </span>
        </p>
        <p>
          <span className={`state ${shape} light`}>{shape === "live" ? `${word}, ${people(run.volunteersNow)}` : word}</span>
        </p>
      </td>
      <td className="q">
        <Quality run={run} />
      </td>
      <td className="get">
        {newest === null ? (
          <span className="note">none yet</span>
        ) : (
          <a
            className="btn tight"
            href={downloadOf(run.run, newest.version)}
            download
            aria-label={`Download ${run.name} v${newest.version}, ${bytes(newest.archive.sizeBytes)}`}
          >
            v{count(newest.version)}, {bytes(newest.archive.sizeBytes)}
          </a>
        )}
      </td>
    </tr>
  );
}

export function RunsPage() {
  const runs = useLive((live) => live.runs);
  const line = useLive((live) => live.line);
  const [find, setFind] = useState("");
  useEffect(() => {
    document.title = "Runs · Weft";
    observer.watch(null);
  }, []);
  const shown = runs.filter((run) => matches(run, find));
  return (
    <main id="main" className="page">
      <div className="head">
        <div>
          <h1>Runs</h1>
          <p>What is trained here, on what, and under which licence. Everything can be downloaded and loaded elsewhere.</p>
        </div>
        <div className="acts">
          <input
            type="search"
            placeholder="Find a run, a data set, a licence"
            aria-label="Find a run"
            value={find}
            onChange={(event) => setFind(event.target.value)}
          />
          <Link className="btn ink" to="/admin">
            Start a run
          </Link>
        </div>
      </div>
      {runs.length === 0 ? (
        <div className="bare empty none">
          <p className="small">
            {line === "up"
              ? "The warp is up, but nothing is on it: no run has been made yet."
              : line === "down"
                ? "The coordinator cannot be reached just now; this page tries again by itself."
                : "Asking the coordinator for its runs."}
          </p>
        </div>
      ) : (
        <table className="runs">
          <thead>
            <tr>
              <th scope="col" colSpan={2}>
                Run
              </th>
              <th scope="col">Data and licence</th>
              <th scope="col" className="wide">
                Model
              </th>
              <th scope="col">Progress</th>
              <th scope="col">Held-out</th>
              <th scope="col">Newest checkpoint</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((run) => (
              <Row key={run.run} run={run} />
            ))}
            {shown.length === 0 && (
              <tr>
                <td colSpan={7} className="quiet">
                  No run, data set or licence goes by “{find}”.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      )}
    </main>
  );
}
