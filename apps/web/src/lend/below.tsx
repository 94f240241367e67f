// Below the loom: the reader's limits, machine and credit while lending; what lending means, always.

import { Link } from "@tanstack/react-router";
import type { RunDetail } from "@weft/protocol";
import { lazy, Suspense, useState } from "react";
import { bytes, count, percent, plural, rate } from "../words/figures.ts";
import { licence, shortVolunteer } from "../words/run-words.ts";
import type { VolunteerSnapshot } from "../worker/client.ts";
import { lender } from "./lender.ts";
import { indexOfVolunteer } from "./loom-view.tsx";

const BACKENDS = {
  webgpu: "WebGPU",
  wasm: "WebAssembly on the processor",
  cpu: "JavaScript on the processor",
  synthetic: "synthetic",
} as const;

export function YourLimits() {
  const [keepOff, setKeepOff] = useState(false);
  if (!("getBattery" in navigator)) return null;
  return (
    <div className="row">
      <label>
        <input
          type="checkbox"
          checked={keepOff}
          onChange={(event) => {
            setKeepOff(event.target.checked);
            lender.setKeepOffBattery(event.target.checked);
          }}
        />{" "}
        Rest while this machine runs on its battery
      </label>
    </div>
  );
}

export function YourMachine({ snapshot }: { snapshot: VolunteerSnapshot }) {
  const { device, selfTest, weights } = snapshot;
  const { snapshot: whole, deltas, "failed-deltas": failed } = weights;
  return (
    <div>
      <h2>Your machine and the line</h2>
      <dl className="pairs">
        <div>
          <dt>Device</dt>
          <dd>{device?.description ?? "not known yet"}</dd>
        </div>
        <div>
          <dt>Backend</dt>
          <dd>
            {device === null ? "not known yet" : BACKENDS[device.backend]}
            {device?.software === true && device.backend === "webgpu" && ", drawn in software"}
            {selfTest !== null && (selfTest.passed ? ", self-test passed" : ", self-test failed")}
          </dd>
        </div>
        <div>
          <dt>Speed</dt>
          <dd>
            {snapshot.samplesPerSecond === null
              ? "after the first lease"
              : `${rate(snapshot.samplesPerSecond)} samples/s at ${percent(snapshot.effort, 0)}`}
          </dd>
        </div>
        <div>
          <dt>Sent</dt>
          <dd>{bytes(snapshot.bytesUp)}</dd>
        </div>
        <div>
          <dt>Received</dt>
          <dd>{bytes(snapshot.bytesDown)}</dd>
        </div>
        {deltas + failed > 0 && (
          <div>
            <dt>Weights</dt>
            <dd>{`${count(deltas)} by deltas, ${count(whole)} whole${failed > 0 ? ` (${count(failed)} after deltas that failed)` : ""}`}</dd>
          </div>
        )}
      </dl>
      <YourLimits />
    </div>
  );
}

/** Brings the rules of names with it, which nobody needs before lending. */
const YourName = lazy(() => import("./your-name.tsx").then(({ YourName: component }) => ({ default: component })));

/** The last versions, own ones red. */
function OwnVersions({ detail, mine }: { detail: RunDetail; mine: number }) {
  const rows = detail.cloth.slice(-30);
  const first = rows[0];
  const newest = rows[rows.length - 1];
  if (first === undefined || newest === undefined) return <div className="mine bare" />;
  const own = rows.map((row) => row.shares.some((share) => share.volunteer === mine && share.samples > 0));
  const many = own.filter(Boolean).length;
  return (
    <>
      <svg
        className="mine"
        role="img"
        aria-label={`${many} of the last ${plural(rows.length, "version")} contain your work`}
        viewBox="0 0 300 24"
        preserveAspectRatio="none"
      >
        {rows.map((row, index) => (
          <rect key={row.version} x={index * 10} width="8.5" height="24" fill={own[index] ? "var(--madder-fill)" : "var(--line)"} />
        ))}
      </svg>
      <p className="note">
        Versions {count(first.version)} to {count(newest.version)}: yours are red, {many} of {rows.length}
      </p>
    </>
  );
}

/** Samples of all versions, undone ones too, and of the open round. */
function countedIn({ spec: { training }, version, versionPoints, round }: RunDetail): number {
  const counted = training.mode === "gradient" ? version * training.samplesPerVersion : (versionPoints.at(-1)?.samplesSeen ?? 0);
  return counted + round.samplesIn;
}

export function YourCredit({ snapshot, detail }: { snapshot: VolunteerSnapshot; detail: RunDetail | null }) {
  const mine = indexOfVolunteer(detail, snapshot.volunteer);
  const view = detail?.volunteers[mine];
  // Every closed version holds its whole batch, and the open round says what it holds so far; the list of volunteers may be cut short.
  const all = detail === null ? 0 : countedIn(detail);
  return (
    <div>
      <h2>Your credit</h2>
      {detail !== null && <OwnVersions detail={detail} mine={mine} />}
      <dl className="pairs">
        <div>
          <dt>Samples counted in this run</dt>
          <dd>{count(view?.samples ?? 0)}</dd>
        </div>
        <div>
          <dt>Of all in this run</dt>
          <dd>{view === undefined || all === 0 ? "none yet" : percent(view.samples / all, 2)}</dd>
        </div>
        <div>
          <dt>Your key</dt>
          <dd>{snapshot.volunteer === null ? "made when you first lend" : <code>{shortVolunteer(snapshot.volunteer)}</code>}</dd>
        </div>
      </dl>
      <Suspense fallback={<div className="row" />}>
        <YourName name={snapshot.name} volunteer={snapshot.volunteer} />
      </Suspense>
    </div>
  );
}

/** Measured, not promised: the sizes of this run's own blobs and of its newest version's contributions. */
function traffic(detail: RunDetail): string {
  const data = detail.manifest.train.reduce((sum, shard) => sum + shard.sizeBytes, 0);
  const newest = detail.versionPoints[detail.versionPoints.length - 1];
  const inward = `In: the model, ${bytes(detail.weights.sizeBytes)} a version, and the data once, ${bytes(data)} in all.`;
  return newest === undefined
    ? `${inward} Out: a proposed change to the model.`
    : `${inward} Out: proposed changes to the model, ${bytes(newest.bytesIn)} for all of version ${count(newest.version)} together.`;
}

export function Facts({ detail }: { detail: RunDetail | null }) {
  return (
    <section className="facts" aria-label="Before you lend">
      <div className="block">
        <div>
          <h2>What it does to your machine</h2>
          <p>
            Keeps the graphics chip busy in short bursts; you set how hard. It draws power and gets warm, like a game. Nothing is installed
            and no file is read.
          </p>
        </div>
        <div>
          <h2>What goes over the line</h2>
          <p>
            {detail === null ? "In: the model and its data. Out: a proposed change to the model." : traffic(detail)} Nothing about you: a
            random key made in this browser stands for you, with a name only if you give one.
          </p>
        </div>
        <div>
          <h2>Whose is the result</h2>
          <p>
            {detail === null ? (
              "It is published under the licence that the run names, with every contribution in its ledger."
            ) : (
              <>
                Data: {licence(detail.manifest.license)}. Model: {licence(detail.license)}, yours to use too. Every checkpoint can be{" "}
                <Link to="/runs/$run" params={{ run: detail.run }}>
                  downloaded
                </Link>
                , and every contribution stands in the run’s ledger.
              </>
            )}
          </p>
        </div>
      </div>
    </section>
  );
}
