// A beginning in, a continuation out, token by token. Knows the computer, not how it computes.
import { encodeText, keepKnown } from "@weft/datasets";
import { type CSSProperties, type FormEvent, useState } from "react";
import { rate } from "../words/figures.ts";
import type { Computer } from "./computer.ts";
import type { Subject } from "./messages.ts";

/** Characters of one continuation. */
const LENGTH = 240;
const COOL = 0.2;
const WARM = 1.4;

interface Props {
  readonly alphabet: readonly string[];
  readonly subject: Subject;
  readonly computer: Computer;
  readonly onNote: (note: string) => void;
}

export function Writing({ alphabet, subject, computer, onNote }: Props) {
  const [prompt, setPrompt] = useState("It was");
  const [daring, setDaring] = useState(0.8);
  const [shown, setShown] = useState<{ readonly beginning: string; readonly text: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const beginning = keepKnown(alphabet, prompt);
    if (beginning === "") {
      setFailure("Begin with at least one character that the data contain.");
      return;
    }
    setFailure(null);
    setBusy(true);
    let text = "";
    setShown({ beginning, text });
    onNote("getting ready in this page");
    try {
      const tokens = Int32Array.from(encodeText(alphabet, beginning));
      const { tokensPerSecond } = await computer.ask({ kind: "write", subject, tokens, count: LENGTH, temperature: daring }, (token) => {
        text += alphabet[token] ?? "";
        setShown({ beginning, text });
      });
      onNote(`computed in this page at ${rate(tokensPerSecond)} characters a second`);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="try">
      <form onSubmit={(event) => void submit(event)}>
        <label className="vh" htmlFor="prompt">
          Beginning
        </label>
        <input type="text" id="prompt" value={prompt} maxLength={200} onChange={(event) => setPrompt(event.target.value)} />
        <label className="small quiet daring" htmlFor="daring">
          Daring {daring.toFixed(1)}
        </label>
        <input
          type="range"
          id="daring"
          min={COOL}
          max={WARM}
          step={0.1}
          value={daring}
          style={{ "--at": `${(100 * (daring - COOL)) / (WARM - COOL)}%` } as CSSProperties}
          onChange={(event) => setDaring(event.target.valueAsNumber)}
        />
        <button className="btn ink" type="submit" disabled={busy}>
          Continue
        </button>
      </form>
      {failure !== null && (
        <p className="notice" role="alert">
          {failure}
        </p>
      )}
      <div
        className="out"
        aria-live={busy ? "off" : "polite"}
        data-empty="The model’s own words will stand here, computed on your machine."
      >
        {shown !== null && (
          <>
            <b>{shown.beginning}</b>
            {shown.text}
          </>
        )}
      </div>
    </div>
  );
}
