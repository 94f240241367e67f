// A run's own page: what it is, its curve, its specification, its data, its checkpoints, who wove it, and a box to try it.

import { getRouteApi, Link } from "@tanstack/react-router";
import type { RunDetail } from "@weft/protocol";
import { lazy, Suspense, useEffect } from "react";
import { LossChart } from "../charts/loss-chart.tsx";
import { Swatch } from "../cloth/swatch.tsx";
import { observer, useLive } from "../live/observer.ts";
import { useNow } from "../live/use-now.ts";
import { bytes, clock, count } from "../words/figures.ts";
import { originWords, progressWords, rolledBackWords } from "../words/lineage-words.ts";
import { capital, isClassifier, licence, people, phaseEnded, quality, runState } from "../words/run-words.ts";
import { DataCard, Specification } from "./cards.tsx";
import { CheckIt } from "./check-it.tsx";
import { Checkpoints, LoadIt } from "./checkpoints.tsx";
import { Contributors } from "./contributors.tsx";
import { downloadOf } from "./downloads.ts";
import "../styles/runs.css";

const route = getRouteApi("/runs/$run");
/** The box that computes comes last and only when the page stands. */
const TryIt = lazy(() => import("../try/try-it.tsx").then(({ TryIt: component }) => ({ default: component })));

function Top({ detail }: { detail: RunDetail }) {
  const nowMs = useNow(10_000);
  const { shape, word } = runState(detail);
  const held = quality(detail);
  const newest = detail.newestCheckpoint;
  const ends =
    detail.phase === "running" && detail.rates.remainingMs !== null ? `ends about ${clock(nowMs + detail.rates.remainingMs, false)}` : null;
  const facts = [
    progressWords(detail),
    phaseEnded(detail.phase)
      ? `${people(detail.volunteersEver)} took part`
      : `${people(detail.volunteersNow)} now, ${count(detail.volunteersEver)} so far`,
    ...(held === null ? [] : [`${held.value} ${held.unit === "loss" ? "held-out loss" : "of held-out right"}`]),
    ...(ends === null ? [] : [ends]),
    licence(detail.license),
  ];
  return (
    <div className="run-top">
      <Swatch run={detail.run} sizePx={88} />
      <div>
        <h1>{detail.name}</h1>
        <p>{detail.description}</p>
        <p className="meta">
          <span className={`state ${shape}`}>{capital(word)}</span>
          <span>{facts.join(" · ")}</span>
        </p>
        {detail.origin !== null && (
          <p className="meta">
            <span>
              {capital(originWords(detail.origin))}{" "}
              <Link to="/runs/$run" params={{ run: detail.origin.run }}>
                {detail.origin.run}
              </Link>
            </span>
          </p>
        )}
        {detail.rollBacks
          .filter(({ undone }) => undone !== true)
          .map((back) => (
            <p key={back.version} className="meta">
              <span>{rolledBackWords(back, nowMs)}</span>
            </p>
          ))}
      </div>
      <div className="acts">
        {newest !== null && (
          <a className="btn main" href={downloadOf(detail.run, newest.version)} download>
            Download v{count(newest.version)}, {bytes(newest.archive.sizeBytes)}
          </a>
        )}
        {!phaseEnded(detail.phase) && (
          <Link className="btn" to="/" search={{ run: detail.run }}>
            Lend to it
          </Link>
        )}
      </div>
    </div>
  );
}

function Curve({ detail }: { detail: RunDetail }) {
  const measure = isClassifier(detail) && detail.accuracy !== null ? "accuracy" : "loss";
  return (
    <section className="sec" aria-labelledby="h-c">
      <div className="sec-head">
        <h2 id="h-c">
          {measure === "accuracy"
            ? "Held-out samples right, per cent"
            : isClassifier(detail)
              ? "Loss, nats a sample"
              : "Loss, nats a character"}
        </h2>
      </div>
      <LossChart detail={detail} measure={measure} smoothing={measure === "loss" ? 0.8 : 0} heightPx={292} />
    </section>
  );
}

export function RunPage() {
  const { run } = route.useParams();
  const live = useLive((state) => state.detail);
  const refusal = useLive((state) => state.refusal);
  const line = useLive((state) => state.line);
  useEffect(() => observer.watch(run), [run]);
  const detail = live?.run === run ? live : null;
  useEffect(() => {
    document.title = `${detail?.name ?? run} · Weft`;
  }, [detail?.name, run]);
  return (
    <main id="main" className="page">
      <p className="crumb">
        <Link to="/runs">Runs</Link> / <span>{detail?.name ?? run}</span>
      </p>
      {detail === null ? (
        <Missing run={run} refusal={refusal} line={line} />
      ) : (
        <>
          <Top detail={detail} />
          <div className="two">
            <Curve detail={detail} />
            <Specification detail={detail} />
          </div>
          <div className="two">
            <Suspense fallback={<section className="sec" />}>
              <TryIt key={detail.run} detail={detail} />
            </Suspense>
            <DataCard detail={detail} />
          </div>
          <Checkpoints detail={detail} />
          <div className="two">
            <Contributors detail={detail} />
            <LoadIt detail={detail} />
          </div>
          <CheckIt detail={detail} />
        </>
      )}
    </main>
  );
}

function Missing({ run, refusal, line }: { run: string; refusal: string | null; line: "opening" | "up" | "down" }) {
  if (refusal !== null)
    return (
      <>
        <h1>No such cloth.</h1>
        <p className="lead">
          {refusal} <Link to="/runs">See the runs there are</Link>.
        </p>
      </>
    );
  return (
    <div className="bare empty none">
      <p className="small">
        {line === "down" ? "The coordinator cannot be reached just now; this page tries again by itself." : `Fetching ${run}.`}
      </p>
    </div>
  );
}
