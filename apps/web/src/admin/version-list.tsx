// The versions of a run to go back to or to go on from, and the three ways to do so. Draws; the dialogs send the commands.
import type { RunDetail } from "@weft/protocol";
import { useId, useState } from "react";
import { useNow } from "../live/use-now.ts";
import { count, loss, moment, percent } from "../words/figures.ts";
import { isClassifier } from "../words/run-words.ts";
import { ForkRun, ResumeRun, RollBack } from "./version-dialogs.tsx";
import { offeredVersions, suggestedVersion, type VersionRow } from "./versions.ts";

const OFFERED = 12;

const kindOf = ({ checkpoint, backTo, version }: VersionRow, detail: Pick<RunDetail, "version" | "origin">): string =>
  [
    ...(version === detail.version ? ["newest"] : []),
    ...(version === (detail.origin?.version ?? 0) ? ["first"] : []),
    ...(checkpoint ? ["checkpoint"] : []),
    ...(backTo === null ? [] : [`back to v${count(backTo)}`]),
  ].join(", ");

type Asking = "roll-back" | "resume" | "fork";

export function VersionList({ detail, onMade }: { detail: RunDetail; onMade: (run: string) => void }) {
  const nowMs = useNow(60_000);
  const group = useId();
  const [wanted, setWanted] = useState<number | null>(null);
  const [asking, setAsking] = useState<Asking | null>(null);
  const first = detail.origin?.version ?? 0;
  const rows = offeredVersions(detail, OFFERED, wanted);
  const chosen = wanted ?? suggestedVersion(rows, detail.version);
  const another = (version: number) => {
    if (Number.isInteger(version) && version >= first && version <= detail.version) setWanted(version);
  };
  const classifier = isClassifier(detail);
  const close = () => setAsking(null);
  const made = (run: string) => {
    close();
    onMade(run);
  };
  const label = `v${count(chosen)}`;
  return (
    <section className="sec" aria-labelledby="h-ver">
      <div className="sec-head">
        <h2 id="h-ver">Versions</h2>
        <label className="end">
          Another{" "}
          <input
            type="number"
            min={first}
            max={detail.version}
            value={chosen}
            aria-label="Number of the version"
            onChange={(event) => another(event.target.valueAsNumber)}
          />
        </label>
      </div>
      <table className="vers">
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col" className="hide">
              Made
            </th>
            <th scope="col" className="num">
              Loss
            </th>
            <th scope="col" className="num">
              Held-out
            </th>
            <th scope="col">What it is</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.version} className={row.undone ? "undone" : ""}>
              <td>
                <label>
                  <input
                    type="radio"
                    name={group}
                    checked={row.version === chosen}
                    onChange={() => setWanted(row.version)}
                    aria-label={`v${row.version}`}
                  />
                  <b>v{count(row.version)}</b>
                </label>
              </td>
              <td className="hide">
                <time>{moment(row.atMs, nowMs)}</time>
              </td>
              <td className="num">{row.lossMean === null ? "–" : loss(row.lossMean)}</td>
              <td className="num">
                {classifier && row.accuracy !== null ? percent(row.accuracy) : row.heldOutLoss === null ? "–" : loss(row.heldOutLoss)}
              </td>
              <td>
                {row.undone && <span className="state held">undone</span>} {kindOf(row, detail)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="acts">
        {detail.phase !== "stopped" && (
          <button className="btn tight" type="button" disabled={chosen === detail.version} onClick={() => setAsking("roll-back")}>
            Roll back to {label}…
          </button>
        )}
        <button className="btn tight" type="button" onClick={() => setAsking("resume")}>
          Resume from {label}…
        </button>
        <button className="btn tight" type="button" onClick={() => setAsking("fork")}>
          Fork from {label}…
        </button>
      </p>
      {asking === "roll-back" && <RollBack detail={detail} version={chosen} onClose={close} />}
      {asking === "resume" && <ResumeRun detail={detail} version={chosen} onClose={close} onMade={made} />}
      {asking === "fork" && <ForkRun detail={detail} version={chosen} onClose={close} onMade={made} />}
    </section>
  );
}
