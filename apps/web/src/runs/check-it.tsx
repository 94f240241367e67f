// How anyone can check the run without believing its coordinator: three commands, and what they can prove with what is kept.
import type { RunDetail } from "@weft/protocol";
import { count, shortHash } from "../words/figures.ts";
import { retentionWords } from "../words/lineage-words.ts";

interface Check {
  readonly command: string;
  readonly text: string;
}

/** In the order in which someone would use them, against the coordinator at `origin`. */
export function checksOf({ run, spec, origin }: Pick<RunDetail, "run" | "spec" | "origin">, url: string): readonly Check[] {
  const counted =
    spec.sampler.kind === "epoch"
      ? "that no sample of an epoch was counted twice or left out"
      : "that each round counted the samples it should";
  return [
    {
      command: `npx weft verify ${run} --url ${url}`,
      text: `follows the ledger from its first record: the chain of hashes, each signature, each file named in it, and ${counted}.`,
    },
    {
      command: `npx weft replay ${run} --url ${url}`,
      text: `computes the weights again, version by version, from ${origin === null ? "the first" : `v${count(origin.version)} of ${origin.run}`}, and compares each version’s hash. ${retentionWords(spec).provable}`,
    },
    {
      command: `npx weft runs export ${run} --url ${url}`,
      text: "writes ledger, files, data manifest and specification as one archive, on which both work without this coordinator.",
    },
  ];
}

export function CheckIt({ detail }: { detail: RunDetail }) {
  const { ledger } = detail;
  return (
    <section className="sec" aria-labelledby="h-v">
      <div className="sec-head">
        <h2 id="h-v">Check it yourself</h2>
        <span className="end note">
          ledger at record {count(ledger.seq)}, <code title={ledger.head}>{shortHash(ledger.head)}</code>
        </span>
      </div>
      <dl className="checks">
        {checksOf(detail, location.origin).map(({ command, text }) => (
          <div key={command}>
            <dt>
              <code>{command}</code>
            </dt>
            <dd className="small quiet">{text}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
