// The specification and the data of a run, as pairs. Everything here is read from the run itself.
import { type DatasetManifest, type RunDetail, readsText, type TrainingSpec } from "@weft/protocol";
import { bytes, count, plural } from "../words/figures.ts";
import { retentionWords } from "../words/lineage-words.ts";
import { inputWords, licence, modelWords, optimizerWords, scheduleWords } from "../words/run-words.ts";
import { specOf } from "./downloads.ts";

type Pair = readonly [label: string, text: string];

const Pairs = ({ pairs }: { pairs: readonly Pair[] }) => (
  <dl className="pairs">
    {pairs.map(([label, text]) => (
      <div key={label}>
        <dt>{label}</dt>
        <dd>{text}</dd>
      </div>
    ))}
  </dl>
);

function modeWords(training: TrainingSpec): string {
  if (training.mode === "gradient") return `${training.mode}, ${plural(training.samplesPerVersion, "sample")} a version`;
  const { rounds } = training;
  return rounds.kind === "async" ? `${training.mode}, asynchronous` : `${training.mode}, ${plural(rounds.leases, "lease")} a version`;
}

/** What a volunteer fetches of each version. */
const downlinkWords = ({ spec, weights, delta }: RunDetail): string =>
  spec.training.downlink === "int8"
    ? `int8 deltas${delta === null ? "" : ` of ${bytes(delta.sizeBytes)}`}; whole: ${bytes(weights.sizeBytes)}`
    : `f32, ${bytes(weights.sizeBytes)} a version`;

export function Specification({ detail }: { detail: RunDetail }) {
  const { spec, run } = detail;
  const { training, round } = spec;
  return (
    <section className="sec" aria-labelledby="h-s">
      <div className="sec-head">
        <h2 id="h-s">Specification</h2>
        <a className="end small" href={specOf(run)} download>
          {run}.json
        </a>
      </div>
      <Pairs
        pairs={[
          ["Model", modelWords(spec.model)],
          ["Parameters", count(detail.parameters)],
          [readsText(spec.model) ? "Context" : "Input", inputWords(spec.model)],
          ["Mode", modeWords(training)],
          ["Optimiser", optimizerWords(training.optimizer)],
          ["Schedule", scheduleWords(training.mode === "gradient" ? training.schedule : training.inner.schedule)],
          ["Rule", "mean, weighted by samples"],
          ["Codec", training.codec],
          ["Downlink", downlinkWords(detail)],
          ["Round", `leases of ${round.leaseMs / 1000} s, deadline ${round.deadlineMs / 1000} s`],
          ["Contributions kept", retentionWords(spec).kept],
          ["Seed", String(spec.seed)],
        ]}
      />
    </section>
  );
}

const total = (shards: DatasetManifest["train"]): number => shards.reduce((sum, shard) => sum + shard.samples, 0);

function dataPairs(manifest: DatasetManifest): readonly Pair[] {
  const { form } = manifest;
  const train = total(manifest.train);
  const held = total(manifest.heldOut);
  const shards = manifest.train.length + manifest.heldOut.length;
  const what: readonly Pair[] =
    form.kind === "images"
      ? [
          [
            "Images",
            `${count(train + held)} of ${form.height} × ${form.width}${form.channels > 1 ? ` × ${form.channels}` : ""}, ${form.classes} classes`,
          ],
          ["Held out", count(held)],
        ]
      : [
          ["Characters", `${count(train + held)}, ${form.alphabet.length} kinds`],
          ["Held out", `${count(held)} characters`],
        ];
  return [
    ["Name", manifest.name],
    ...what,
    ["Source", manifest.source],
    ["Licence", licence(manifest.license)],
    ["Shards", `${count(shards)}, each named by its SHA-256`],
  ];
}

export function DataCard({ detail }: { detail: RunDetail }) {
  const { manifest } = detail;
  return (
    <section className="sec" aria-labelledby="h-d">
      <div className="sec-head">
        <h2 id="h-d">Where the data come from</h2>
      </div>
      <Pairs pairs={dataPairs(manifest)} />
      <p className="small quiet told">{manifest.description}</p>
      <p className="note told">{manifest.attribution}</p>
      {manifest.citation !== "" && <p className="note told">{manifest.citation}</p>}
      <p className="note told">{manifest.preprocessing}</p>
    </section>
  );
}
