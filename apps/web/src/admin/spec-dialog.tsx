// A dialog around one JSON text: its mistakes are named before it is sent, the coordinator's own after. Knows no command by name.
import type { AdminCommand } from "@weft/protocol";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { Dialog } from "./dialog.tsx";
import { useCommand } from "./session.ts";
import { readSpec, type SpecText } from "./spec-form.ts";

export const textOf = (spec: unknown): string => JSON.stringify(spec, null, 2);

interface Props {
  readonly title: string;
  readonly intro: ReactNode;
  /** The text to begin with. */
  readonly first: string;
  /** Another text to begin with, on a button. */
  readonly other?: { readonly label: string; readonly text: string } | null;
  readonly act: string;
  readonly command: (spec: unknown) => AdminCommand;
  readonly onClose: () => void;
  readonly onMade: (run: string) => void;
}

export function SpecDialog({ title, intro, first, other = null, act, command: commandOf, onClose, onMade }: Props) {
  const [text, setText] = useState(first);
  const [read, setRead] = useState<SpecText | null>(null);
  const command = useCommand();
  const field = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const now = readSpec(text);
    setRead(now);
    if (!now.ok) return;
    command.mutate(commandOf(now.spec), { onSuccess: (reply) => reply !== null && onMade(reply.run) });
  };
  return (
    <Dialog title={title} wide onClose={onClose}>
      <form onSubmit={submit}>
        <p className="small quiet">{intro}</p>
        <p className="small quiet">
          <code>retention.contributions</code> says how long the volunteers’ contributions are kept, and so how far back versions can be
          computed again: <code>"all"</code>, <code>"none"</code>, or of the newest <code>{'{ "versions": 100 }'}</code>.
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
          {other !== null && (
            <button className="btn plain" type="button" onClick={() => setText(other.text)}>
              {other.label}
            </button>
          )}
          <button className="btn" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="btn ink" type="submit" disabled={command.isPending}>
            {act}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
