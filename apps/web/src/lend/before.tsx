// What the reader sees before anything runs: the offer, or why this browser cannot lend its card, and the steps of getting ready.

import { Link } from "@tanstack/react-router";
import type { RunDetail, RunSummary } from "@weft/protocol";
import { useNow } from "../live/use-now.ts";
import { bytes, count, duration } from "../words/figures.ts";
import { licence, unstopped } from "../words/run-words.ts";
import type { NoGpuReason, VolunteerSnapshot } from "../worker/client.ts";
import { lender } from "./lender.ts";

const company = (now: number): string =>
  now === 0
    ? "Nobody is training it at this moment; yours would be the only thread."
    : now === 1
      ? "One volunteer is training it now; you would be the second thread."
      : `${count(now)} volunteers are training it now; you would be the next thread.`;

function standing({ phase, volunteersNow }: RunSummary): string {
  switch (phase) {
    case "running":
      return company(volunteersNow);
    case "paused":
      return "It is paused now; until it goes on, another run that wants threads gets yours.";
    case "stopped":
    case "finished":
      return `It is ${phase}; another run that wants threads gets yours.`;
    default:
      return phase satisfies never;
  }
}

/** What is trained, on which data, under which licences, and how far it is. */
function Offer({ run, line }: { run: RunSummary | null; line: "opening" | "up" | "down" }) {
  if (run === null)
    return (
      <p className="lead">
        {line === "up"
          ? "Nothing is on the loom at the moment. As soon as a run is started here, this page shows it."
          : line === "down"
            ? "The coordinator cannot be reached just now. This page tries again by itself."
            : "Asking the coordinator what is on the loom."}
      </p>
    );
  return (
    <>
      <p className="lead">
        Today it is <b>{run.name}</b>: {unstopped(run.description)}. {standing(run)} <Link to="/runs">Other runs</Link>
      </p>
      <p className="small quiet terms">
        Version {count(run.version)} of {count(run.versions)}. Data: {run.dataset.name}, {licence(run.dataset.license)}. The model is
        published under {licence(run.license)}.
      </p>
    </>
  );
}

export function Idle({ run, line, press }: { run: RunSummary | null; line: "opening" | "up" | "down"; press: () => void }) {
  return (
    <div className="idle">
      <h1 id="head">Lend your graphics card to a model that belongs to everyone.</h1>
      <Offer run={run} line={line} />
      <p className="go">
        <button className="btn main big" type="button" data-anchor="" onClick={press}>
          Lend my graphics card
        </button>
      </p>
      <p className="small quiet vow">Nothing runs until you press; closing the tab ends it.</p>
    </div>
  );
}

interface Obstacle {
  readonly word: string;
  readonly title: string;
  readonly lead: string;
  readonly ways: readonly (readonly [name: string, text: string])[];
  readonly processor: boolean;
}
const OBSTACLES: Record<NoGpuReason, Obstacle> = {
  insecure: {
    word: "Not a secure page",
    title: "The browser keeps its graphics card from plain HTTP.",
    lead: "Weft needs WebGPU and WebCrypto, and browsers offer them only over HTTPS or on the machine itself.",
    ways: [
      ["HTTPS", "Ask whoever runs this coordinator to start it with --tls-cert and --tls-key, then open the https address."],
      ["This machine", "Where the coordinator runs here, open it as http://localhost with its port."],
    ],
    processor: false,
  },
  "no-webgpu": {
    word: "No WebGPU",
    title: "This browser keeps its graphics card to itself.",
    lead: "Weft reaches the card through WebGPU, and this browser does not offer it. Three ways on:",
    ways: [
      ["Another browser", "Chrome or Edge, Safari 26, or Firefox 141 on Windows."],
      ["Another device", "A phone with Chrome on Android will do."],
      ["The processor", "Trains too, more slowly, and every step counts."],
    ],
    processor: true,
  },
  "no-adapter": {
    word: "No graphics card offered",
    title: "This browser found no graphics card it may use.",
    lead: "It knows WebGPU, but no adapter answered. Three ways on:",
    ways: [
      ["Settings", "Turn on graphics acceleration in the browser’s settings, then restart it; a driver update may help."],
      ["Another browser", "Chrome or Edge, Safari 26, or Firefox 141 on Windows."],
      ["The processor", "Trains too, more slowly, and every step counts."],
    ],
    processor: true,
  },
  "software-only": {
    word: "No graphics card",
    title: "What answers here is a processor in disguise.",
    lead: "The browser draws in software, so its WebGPU would be slower than computing on the processor directly. Two ways on:",
    ways: [
      ["Settings", "Turn on graphics acceleration in the browser’s settings, then restart it."],
      ["The processor", "Lend it as what it is: slower than a card, and every step counts."],
    ],
    processor: true,
  },
};

export function NoGpu({
  reason,
  adapter,
  run,
  line,
  press,
}: {
  reason: NoGpuReason;
  adapter: string | null;
  run: RunSummary | null;
  line: "opening" | "up" | "down";
  press: () => void;
}) {
  const { word, title, lead, ways, processor } = OBSTACLES[reason];
  return (
    <div>
      <p className="run-head">
        <span className="state fault">{word}</span>
        {adapter !== null && <span className="small quiet">{adapter}</span>}
      </p>
      <h1 id="head" className="middling">
        {title}
      </h1>
      <p className="lead">{lead}</p>
      <ul className="ways">
        {ways.map(([name, text]) => (
          <li key={name}>
            <b>{name}</b>
            <span>{text}</span>
          </li>
        ))}
      </ul>
      {processor && (
        <p className="go">
          <button className="btn main big" type="button" data-anchor="" onClick={press}>
            Lend the processor instead
          </button>
        </p>
      )}
      <div className="after">
        <Offer run={run} line={line} />
      </div>
    </div>
  );
}

type Step = "self-test" | "connecting" | "first-lease" | "fetching";

interface Stage {
  readonly step: Step;
  readonly name: string;
  readonly doing: string;
  readonly done: (snapshot: VolunteerSnapshot) => string | null;
}
const after = (ms: number | undefined): string => (ms === undefined ? "done" : `${duration(ms)} after the start`);

/** `fetching` comes with the first lease: it names the weights and the data to fetch. */
const stagesOf = (detail: RunDetail | null): readonly Stage[] => [
  {
    step: "self-test",
    name: "Self-test",
    doing: "computing a known gradient and comparing it",
    done: ({ selfTest, device, milestones }) =>
      selfTest === null && milestones.selfTestMs === undefined
        ? null
        : `${device?.description ?? "device"} passed, ${after(milestones.selfTestMs)}`,
  },
  {
    step: "connecting",
    name: "Connected",
    doing: "saying hello",
    done: ({ milestones }) => (milestones.connectedMs === undefined ? null : after(milestones.connectedMs)),
  },
  {
    step: "first-lease",
    name: "First lease",
    doing: "asking for work",
    done: ({ milestones }) => (milestones.firstLeaseMs === undefined ? null : after(milestones.firstLeaseMs)),
  },
  {
    step: "fetching",
    name: "Fetching",
    doing: detail === null ? "the model and its data" : `the model, ${bytes(detail.weights.sizeBytes)}, and its data`,
    done: () => null,
  },
];

export function Starting({
  snapshot,
  pressedAtMs,
  detail,
}: {
  snapshot: VolunteerSnapshot | null;
  pressedAtMs: number;
  detail: RunDetail | null;
}) {
  const nowMs = useNow(200);
  const step: Step = snapshot?.status.state === "starting" ? snapshot.status.step : "self-test";
  // With the first lease comes the run's model, on which the device is tested again: part of getting that lease ready.
  const current: Step = step === "self-test" && snapshot?.milestones.firstLeaseMs !== undefined ? "fetching" : step;
  return (
    <div>
      <p className="run-head">
        <span className="state wait">Getting ready</span>
        <span className="small quiet">{duration(Math.max(0, nowMs - pressedAtMs))} so far</span>
      </p>
      <h1 id="head">Threading your card into the loom.</h1>
      <ul className="ways">
        {stagesOf(detail).map(({ step, name, doing, done }) => {
          const result = snapshot === null || step === current ? null : done(snapshot);
          const now = step === current;
          return (
            <li
              key={step}
              className={!now && result === null ? "quiet" : ""}
              {...(now ? { "aria-current": "step", "data-anchor": "" } : {})}
            >
              <b>{name}</b>
              <span>{now ? (snapshot === null ? "loading the engine" : doing) : (result ?? "comes next")}</span>
            </li>
          );
        })}
      </ul>
      <p className="acts">
        <button className="btn" type="button" onClick={lender.stop}>
          Cancel
        </button>
      </p>
    </div>
  );
}
