// The checkpoints of a run, newest first, each one file; and how to load one.
import type { RunDetail } from "@weft/protocol";
import { useNow } from "../live/use-now.ts";
import { bytes, count, loss, moment, percent, plural, shortHash } from "../words/figures.ts";
import { isClassifier } from "../words/run-words.ts";
import { downloadOf, folderOf } from "./downloads.ts";

/** What every checkpoint holds. */
const FILES = [
  "model.safetensors",
  "config.json",
  "README.md, the card",
  "train_config.json",
  "training_state, to go on from it",
  "provenance, signed",
] as const;

export function Checkpoints({ detail }: { detail: RunDetail }) {
  const nowMs = useNow(60_000);
  const classifier = isClassifier(detail);
  const newest = [...detail.checkpoints].sort((a, b) => b.version - a.version);
  return (
    <section className="sec" aria-labelledby="h-k">
      <div className="sec-head">
        <h2 id="h-k">Checkpoints</h2>
        <span className="note">one each {plural(detail.spec.checkpoints.everyVersions, "version")}</span>
      </div>
      {newest.length === 0 ? (
        <div className="bare empty few">
          <p className="small">None yet; the first comes with version {count(detail.spec.checkpoints.everyVersions)}.</p>
        </div>
      ) : (
        <>
          <table className="cps">
            <thead>
              <tr>
                <th scope="col">Version</th>
                <th scope="col" className="hide">
                  Made
                </th>
                <th scope="col" className="num">
                  Held-out
                </th>
                <th scope="col" className="num hide">
                  Samples seen
                </th>
                <th scope="col" className="num">
                  Size
                </th>
                <th scope="col" className="hide sha">
                  SHA-256 of the weights
                </th>
                <th scope="col">
                  <span className="vh">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {newest.map((checkpoint) => (
                <tr key={checkpoint.version} className={checkpoint.undone === true ? "undone" : ""}>
                  <td>
                    <b>v{count(checkpoint.version)}</b> {checkpoint.undone === true && <span className="state held">undone</span>}
                  </td>
                  <td className="hide">{moment(checkpoint.atMs, nowMs)}</td>
                  <td className="num">
                    {classifier && checkpoint.accuracy !== null
                      ? percent(checkpoint.accuracy)
                      : checkpoint.heldOutLoss === null
                        ? "–"
                        : loss(checkpoint.heldOutLoss)}
                  </td>
                  <td className="num hide">{count(checkpoint.samplesSeen)}</td>
                  <td className="num">{bytes(checkpoint.archive.sizeBytes)}</td>
                  <td className="hide sha">
                    <code title={checkpoint.weights.sha256}>{shortHash(checkpoint.weights.sha256)}</code>
                  </td>
                  <td>
                    <span className="acts">
                      <a
                        className="btn tight"
                        href={downloadOf(detail.run, checkpoint.version)}
                        download
                        aria-label={`Download v${checkpoint.version}`}
                      >
                        Download
                      </a>
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <ul className="files" aria-label="What each download holds">
            {FILES.map((file) => (
              <li key={file}>{file}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** Lines that load a checkpoint where its model lives. */
export function loadLines(kind: RunDetail["spec"]["model"]["kind"], folder: string): string {
  return kind === "gpt"
    ? `from transformers import GPT2LMHeadModel\nmodel = GPT2LMHeadModel.from_pretrained(\n    "${folder}")`
    : `from safetensors.torch import load_file\nweights = load_file(\n    "${folder}/model.safetensors")`;
}

export function LoadIt({ detail }: { detail: RunDetail }) {
  const version = detail.newestCheckpoint?.version ?? detail.spec.checkpoints.everyVersions;
  return (
    <section className="sec" aria-labelledby="h-l">
      <div className="sec-head">
        <h2 id="h-l">Load it</h2>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{loadLines(detail.spec.model.kind, folderOf(detail.run, version))}</pre>
      <p className="note told">The card in the download has the same lines, the licence, and every credit the data ask for.</p>
    </section>
  );
}
