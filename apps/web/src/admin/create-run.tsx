// The dialog in which a run is made: one JSON text, its mistakes named before it is sent, the coordinator's own after.
import { type FormEvent, useId, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { useLive } from "../live/observer.ts";
import { Dialog } from "./dialog.tsx";
import { useCommand } from "./session.ts";
import { EXAMPLE, readSpec, type SpecText } from "./spec-form.ts";

const textOf = (spec: unknown): string => JSON.stringify(spec, null, 2);

export function CreateRun({ onClose }: { onClose: (created: string | null) => void }) {
  const detail = useLive((live) => live.detail);
  const [text, setText] = useState(() => textOf(EXAMPLE));
  const [read, setRead] = useState<SpecText | null>(null);
  const command = useCommand();
  const field = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const now = readSpec(text);
    setRead(now);
    if (!now.ok) return;
    command.mutate({ type: "create-run", spec: now.spec }, { onSuccess: (reply) => onClose(reply?.run ?? null) });
  };
  return (
    <Dialog title="New run" wide onClose={() => onClose(null)}>
      <form onSubmit={submit}>
        <p className="small quiet">
          A run is one JSON text: data, model, rule, schedule. It starts at once; what it says is kept in its ledger for good.
        </p>
        <label htmlFor={field}>Specification</label>
        <textarea
          id={field}
          value={text}
          rows={20}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={read?.ok === false}
          aria-describedby={`${field}-problems`}
          onChange={(event) => {
            setText(event.target.value);
            setRead(null);
          }}
        />
        <div id={`${field}-problems`} aria-live="polite">
          {read?.ok === false && (
            <div className="notice problems">
              <ul>
                {read.problems.slice(0, 8).map((problem) => (
                  <li key={`${problem.field} ${problem.rule}`}>
                    <code>{problem.field}</code> {problem.rule}; for example {problem.good}.
                  </li>
                ))}
              </ul>
            </div>
          )}
          {command.error !== null && <p className="notice">{sentenceOf(command.error)}</p>}
        </div>
        <p className="acts">
          {detail !== null && (
            <button className="btn plain" type="button" onClick={() => setText(textOf(detail.spec))}>
              Start from {detail.name}
            </button>
          )}
          <button className="btn" type="button" onClick={() => onClose(null)}>
            Cancel
          </button>
          <button className="btn ink" type="submit" disabled={command.isPending}>
            Create and start
          </button>
        </p>
      </form>
    </Dialog>
  );
}
