// What the reader sees while lending: the lease in hand, own figures, the loss, effort, and the ways to rest or end.
import type { RunDetail } from "@weft/protocol";
import { type LeaseProgress, spentAt, type VolunteerStatus } from "@weft/volunteer";
import { type CSSProperties, useEffect, useRef } from "react";
import { Spark } from "../charts/spark.tsx";
import { useNow } from "../live/use-now.ts";
import { clock, count, duration, loss, ordinal, percent } from "../words/figures.ts";
import { timeWords } from "../words/time-words.ts";
import type { Effort, VolunteerSnapshot } from "../worker/client.ts";
import { lender } from "./lender.ts";

/** More cells than this cannot be told apart. */
const MOST_CELLS = 40;

function LeaseBar({ lease }: { lease: LeaseProgress | null }) {
  const steps = Math.max(1, lease?.steps ?? 1);
  const cells = Math.min(MOST_CELLS, lease === null ? MOST_CELLS : steps);
  const filled = lease === null ? 0 : Math.floor((lease.step / steps) * cells);
  return (
    <>
      <div
        className="lease"
        data-anchor=""
        role="progressbar"
        aria-label="Steps of this lease"
        aria-valuemin={0}
        aria-valuemax={steps}
        aria-valuenow={lease?.step ?? 0}
        aria-valuetext={lease === null ? "between two leases" : sentenceOf(lease)}
      >
        {Array.from({ length: cells }, (_, cell) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place
          <i key={cell} className={cell < filled ? "in" : ""} />
        ))}
      </div>
      <p className="note">{lease === null ? "Between two leases" : sentenceOf(lease)}</p>
    </>
  );
}
function sentenceOf(lease: LeaseProgress): string {
  switch (lease.phase) {
    case "fetching":
      return "Fetching what this lease needs";
    case "computing":
      return `Step ${count(lease.step)} of ${count(lease.steps)}, then it is sent`;
    case "uploading":
      return lease.steps === 1 ? "Its one step done; sending the update" : `All ${count(lease.steps)} steps done; sending the update`;
    default:
      return lease.phase satisfies never;
  }
}

const EFFORTS: readonly Effort[] = [0.25, 0.5, 1];

function EffortSlider({ effort }: { effort: number }) {
  const at = EFFORTS.reduce((best, value, index) => (Math.abs(value - effort) < Math.abs((EFFORTS[best] ?? 1) - effort) ? index : best), 0);
  const text = percent(EFFORTS[at] ?? 1, 0);
  return (
    <div className="effort">
      <label htmlFor="effort">Effort</label>
      <input
        id="effort"
        type="range"
        min={0}
        max={EFFORTS.length - 1}
        step={1}
        value={at}
        aria-valuetext={text}
        style={{ "--at": `${(100 * at) / (EFFORTS.length - 1)}%` } as CSSProperties}
        onChange={(event) => lender.setEffort(EFFORTS[event.target.valueAsNumber] ?? 1)}
      />
      <output htmlFor="effort">{text}</output>
      <span />
      <span className="note ends">
        <span>25, hardly felt</span>
        <span>100, as fast as it goes</span>
      </span>
    </div>
  );
}

export type AtWork = Extract<VolunteerStatus, { state: "working" | "waiting" | "offline" | "finishing" | "recovering" }>;

function Head({ status, snapshot }: { status: AtWork; snapshot: VolunteerSnapshot }) {
  const nowMs = useNow();
  const shown = {
    working: { shape: "live", word: "Weaving" },
    waiting: { shape: "wait", word: "Waiting for work" },
    offline: { shape: "wait", word: "Waiting for the line" },
    finishing: { shape: "live", word: "Finishing this lease" },
    recovering: { shape: "wait", word: "Waiting for the device" },
  } as const satisfies Record<AtWork["state"], { shape: string; word: string }>;
  const { shape, word } = shown[status.state];
  return (
    <>
      {status.state === "offline" && (
        <output className="notice">
          <span>
            <b>The line is down.</b> Trying again in {duration(Math.max(0, Math.ceil((status.retryAtMs - nowMs) / 1000) * 1000))}.{" "}
            {status.leaseKeptUntilMs !== null && `Your lease is kept until ${clock(status.leaseKeptUntilMs)}; leave the tab open.`}
          </span>
        </output>
      )}
      {status.state === "recovering" && (
        <output className="notice">
          <span>
            <b>{snapshot.device?.backend === "webgpu" ? "The graphics card" : "The device"} does not answer any more.</b> What it had in
            hand was given back, so nothing is lost.{" "}
            {status.retryAtMs === null
              ? "It is tried again now."
              : `It is tried again in ${duration(Math.max(0, Math.ceil((status.retryAtMs - nowMs) / 1000) * 1000))}.`}{" "}
            <span className="small quiet">{status.detail}</span>
          </span>
        </output>
      )}
      <p className="run-head">
        <span className={`state ${shape}`}>{word}</span>
        <span className="small quiet">
          {snapshot.startedAtMs !== null && `for ${duration(Math.max(0, Math.round((nowMs - snapshot.startedAtMs) / 1000) * 1000))} · `}your{" "}
          {ordinal(snapshot.admitted + 1)} lease
        </span>
      </p>
    </>
  );
}

/** Where the time of lending went so far. */
function TimeSpent({ snapshot }: { snapshot: VolunteerSnapshot }) {
  const words = timeWords(spentAt(snapshot, useNow()));
  return <p className="small quiet spent">{words === null ? "Your time is counted from now on." : `Your time so far: ${words}.`}</p>;
}

/** A pause between two leases shorter than this is not worth a change of words. */
const BETWEEN_MS = 1_200;

/** What is shown: between two leases the last one stands for a moment, so that words and figures do not flicker. */
function useSteady(status: AtWork, lease: LeaseProgress | null): { readonly status: AtWork; readonly lease: LeaseProgress | null } {
  const kept = useRef<{ readonly lease: LeaseProgress; readonly atMs: number } | null>(null);
  const nowMs = useNow(400);
  useEffect(() => {
    if (lease !== null) kept.current = { lease, atMs: Date.now() };
  }, [lease]);
  const between = lease === null && (status.state === "working" || status.state === "waiting");
  if (!between || kept.current === null || nowMs - kept.current.atMs > BETWEEN_MS) return { status, lease };
  return { status: { state: "working" }, lease: kept.current.lease };
}

export function During({ status: truth, snapshot, detail }: { status: AtWork; snapshot: VolunteerSnapshot; detail: RunDetail | null }) {
  const { losses } = snapshot;
  const { status, lease } = useSteady(truth, snapshot.lease);
  const share = snapshot.shares[snapshot.shares.length - 1];
  const first = losses[0];
  const newest = losses[losses.length - 1];
  const name = lease !== null && detail?.run === lease.run ? detail.name : (lease?.run ?? detail?.name ?? "the model");
  return (
    <div>
      <Head status={status} snapshot={snapshot} />
      <h1 id="head" className="title">
        {lease === null ? (
          status.state === "waiting" ? (
            status.reason
          ) : status.state === "recovering" ? (
            <>
              Your thread in <b>{name}</b> is held.
            </>
          ) : (
            <>
              You are weaving <b>{name}</b>
            </>
          )
        ) : (
          <>
            You are working on version {count(lease.version + 1)} of <b>{name}</b>
          </>
        )}
      </h1>
      <LeaseBar lease={lease} />
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
          <dt>{share === undefined ? "Share" : `Share of v${count(share.version)}`}</dt>
          <dd>
            {share === undefined ? (
              <span className="unit">not yet</span>
            ) : (
              <>
                {(100 * share.share).toFixed(1)} <span className="unit">%</span>
              </>
            )}
          </dd>
        </div>
      </dl>
      <TimeSpent snapshot={snapshot} />
      <div className="loss">
        <span className="small quiet">Loss on your batches</span>
        {first === undefined || newest === undefined ? (
          <>
            <span className="small quiet">after your first lease</span>
            <div className="bare" />
          </>
        ) : (
          <>
            <span className="small">
              {loss(first)} to <b>{loss(newest)}</b>
            </span>
            <Spark
              values={losses}
              label={`Loss on your batches over ${count(losses.length)} leases, from ${loss(first)} to ${loss(newest)}`}
            />
          </>
        )}
      </div>
      <EffortSlider effort={snapshot.effort} />
      <p className="acts">
        <button className="btn ink" type="button" onClick={() => lender.pause()}>
          Pause
        </button>
        {status.state !== "finishing" && lease !== null && (
          <button className="btn" type="button" onClick={lender.finish}>
            Finish this lease, then stop
          </button>
        )}
        <button className="btn" type="button" onClick={lender.stop}>
          Stop
        </button>
      </p>
      {snapshot.lastRefusal !== null && (
        <p className="small quiet refusal">
          Last refusal: <code>{snapshot.lastRefusal.code}</code> {snapshot.lastRefusal.message}
        </p>
      )}
    </div>
  );
}
