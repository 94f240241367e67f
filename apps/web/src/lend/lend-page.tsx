// The volunteer's page: chooses the run, the panel for the volunteer's state and the state of the thread. Draws little itself.

import { getRouteApi } from "@tanstack/react-router";
import type { RunDetail, RunSummary } from "@weft/protocol";
import { useEffect, useRef } from "react";
import { useStore } from "zustand";
import type { ThreadState } from "../cloth/thread.ts";
import { observer, useLive } from "../live/observer.ts";
import type { VolunteerStatus } from "../worker/client.ts";
import { Elsewhere, Paused, Refused, Stopped, Unfit } from "./after.tsx";
import { Idle, NoGpu, Starting } from "./before.tsx";
import { Facts, YourCredit, YourMachine } from "./below.tsx";
import { During } from "./during.tsx";
import { type Lending, lender } from "./lender.ts";
import { LoomView } from "./loom-view.tsx";
import { useHeadFocus } from "./use-head-focus.ts";
import "../styles/lend.css";

const route = getRouteApi("/");

const threadOf = (status: VolunteerStatus, lending: Lending): ThreadState => {
  switch (status.state) {
    case "idle":
      return lending.pressedAtMs !== null ? "threading" : lending.capabilities?.kind === "no-gpu" ? "none" : "loose";
    case "starting":
    case "recovering":
      return "threading";
    case "working":
    case "waiting":
    case "finishing":
    case "offline":
      return "drawn";
    case "paused":
      return "slack";
    case "stopped":
      return "cut";
    case "refused":
    case "unfit":
    case "elsewhere":
      return "none";
    default:
      return status satisfies never;
  }
};

interface PanelProps {
  readonly status: VolunteerStatus;
  readonly lending: Lending;
  readonly run: RunSummary | null;
  readonly detail: RunDetail | null;
  readonly press: (fallback: boolean) => void;
}

function Panel({ status, lending, run, detail, press }: PanelProps) {
  const { snapshot, capabilities, pressedAtMs } = lending;
  const line = useLive((live) => live.line);
  const skewMs = useLive((live) => live.clockSkewMs);
  const fallback = capabilities?.kind === "no-gpu";
  const again = () => press(fallback);
  const starting = <Starting snapshot={snapshot} pressedAtMs={pressedAtMs ?? 0} detail={detail} />;
  switch (status.state) {
    case "idle":
      if (pressedAtMs !== null) return starting;
      if (capabilities?.kind === "no-gpu")
        return <NoGpu reason={capabilities.reason} adapter={capabilities.adapter} run={run} line={line} press={() => press(true)} />;
      return <Idle run={run} line={line} press={() => press(false)} />;
    case "starting":
      return starting;
    case "working":
    case "waiting":
    case "offline":
    case "finishing":
    case "recovering":
      return snapshot === null ? null : <During status={status} snapshot={snapshot} detail={detail} />;
    case "paused":
      return <Paused sinceMs={status.sinceMs} untilMs={status.untilMs} detail={detail} />;
    case "stopped":
      return snapshot === null ? null : <Stopped snapshot={snapshot} detail={detail} skewMs={skewMs} again={again} />;
    case "refused":
      return <Refused code={status.code} message={status.message} again={again} />;
    case "unfit":
      return <Unfit reason={status.reason} detail={status.detail} device={snapshot?.device?.description ?? null} again={press} />;
    case "elsewhere":
      return <Elsewhere again={again} />;
    default:
      return status satisfies never;
  }
}

/** Announced when the state changes, so that nobody has to look. */
const announcement = (status: VolunteerStatus, pressed: boolean): string => {
  if (status.state === "idle") return pressed ? "Getting ready" : "";
  return {
    starting: "Getting ready",
    working: "Weaving",
    waiting: "Waiting for work",
    offline: "The line is down",
    recovering: "The device does not answer",
    paused: "Paused",
    finishing: "Finishing this lease",
    stopped: "Stopped",
    refused: "Refused",
    unfit: "This device is not used",
    elsewhere: "Lending in another tab",
  }[status.state];
};

const IDLE: VolunteerStatus = { state: "idle" };

export function LendPage() {
  const { run: wanted, lend } = route.useSearch();
  const lending = useStore(lender.store);
  const runs = useLive((live) => live.runs);
  const live = useLive((state) => state.detail);
  const runsKnown = useLive((state) => state.atMs > 0);
  const status = lending.snapshot?.status ?? IDLE;
  const chosen = lending.snapshot?.lease?.run ?? wanted ?? (runs.find((run) => run.phase === "running") ?? runs[0])?.run ?? null;
  // While a lease changes, the run in hand stays on show.
  const shown = useRef<string | null>(null);
  if (lending.snapshot?.lease != null || status.state === "idle" || shown.current === null) shown.current = chosen;
  const run = shown.current;

  useEffect(() => {
    document.title = "Weft: lend your graphics card to an open model";
    void lender.capabilities();
  }, []);
  useEffect(() => observer.watch(run), [run]);

  // A run that the reader chose, by its address, is the one lent to. Without a choice, and where the chosen one is not under way, the
  // coordinator gives what it has, and goes on with the next run when one is over; the page shows the run of the lease in hand.
  const underWay = runs.some((one) => one.run === wanted && one.phase === "running");
  const wish = wanted !== undefined && (underWay || !runsKnown) ? wanted : null;
  const press = (fallback: boolean): void => lender.press(wish, fallback);
  // Pressed by address: by whoever started the coordinator on this machine. It takes what the machine has.
  const pressed = useRef(false);
  useEffect(() => {
    if (lend !== 1 || pressed.current || !runsKnown || lender.store.getState().pressedAtMs !== null) return;
    pressed.current = true;
    void lender.capabilities().then((found) => {
      if (found.kind === "gpu" || found.reason !== "insecure") lender.press(wish, found.kind === "no-gpu");
    });
  }, [lend, runsKnown, wish]);

  useHeadFocus(`${status.state} ${lending.pressedAtMs === null}`);

  const detail = live?.run === run ? live : null;
  const summary = runs.find((one) => one.run === run) ?? detail;
  const atWork = lending.snapshot !== null && lending.pressedAtMs !== null && status.state !== "idle" && status.state !== "starting";
  return (
    <main id="main">
      <LoomView detail={detail} volunteer={lending.snapshot?.volunteer ?? null} thread={threadOf(status, lending)}>
        <Panel status={status} lending={lending} run={summary} detail={detail} press={press} />
        <p className="vh" aria-live="polite">
          {announcement(status, lending.pressedAtMs !== null)}
        </p>
      </LoomView>
      {atWork && lending.snapshot !== null && (
        <section className="three" aria-label="Your machine, what was exchanged, your credit">
          <YourMachine snapshot={lending.snapshot} />
          <YourCredit snapshot={lending.snapshot} detail={detail} />
        </section>
      )}
      <Facts detail={detail} />
    </main>
  );
}
