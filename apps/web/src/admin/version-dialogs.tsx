// Rolling a run back, resuming it elsewhere and forking it: each a dialog that says in one sentence what will happen.
import type { RunDetail } from "@weft/protocol";
import { type FormEvent, useId, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { count } from "../words/figures.ts";
import { abandonedWords, rollBackWords } from "../words/lineage-words.ts";
import { Confirm, Dialog } from "./dialog.tsx";
import { useCommand } from "./session.ts";
import { SpecDialog, textOf } from "./spec-dialog.tsx";
import { nameAfter } from "./spec-form.ts";

interface Props {
  readonly detail: RunDetail;
  readonly version: number;
  readonly onClose: () => void;
}
interface MakingProps extends Props {
  readonly onMade: (run: string) => void;
}

export function RollBack({ detail, version, onClose }: Props) {
  const command = useCommand();
  const { run } = detail;
  return (
    <Confirm
      title={`Roll back to version ${count(version)}`}
      text={`${rollBackWords(detail, version)} ${abandonedWords(detail.round.leases)}`}
      keep={`Keep version ${count(detail.version)}`}
      act={`Roll back to v${count(version)}`}
      pending={command.isPending}
      failure={command.error === null ? null : sentenceOf(command.error)}
      onKeep={onClose}
      onAct={() => command.mutate({ type: "roll-back", run, version }, { onSuccess: onClose })}
    />
  );
}

export function ResumeRun({ detail, version, onClose, onMade }: MakingProps) {
  const command = useCommand();
  const field = useId();
  const [name, setName] = useState(() => nameAfter(detail.name, "resumed"));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = name.normalize("NFC").trim();
    command.mutate(
      { type: "resume-from", run: detail.run, version, ...(wanted === "" ? {} : { name: wanted }) },
      { onSuccess: (reply) => reply !== null && onMade(reply.run) },
    );
  };
  return (
    <Dialog title={`Resume ${detail.name} from version ${count(version)}`} onClose={onClose}>
      <form onSubmit={submit}>
        <p className="small quiet">
          A new run with the same specification goes on from version {count(version)} bit for bit as {detail.name} would have: same samples,
          same schedule, same optimiser state. Its ledger names {detail.name} as where it comes from; {detail.name} itself is not changed.
        </p>
        <p className="field">
          <label htmlFor={field}>Name of the new run</label>
          <input id={field} type="text" required maxLength={32} value={name} onChange={(event) => setName(event.target.value)} />
        </p>
        {command.error !== null && (
          <p className="notice" role="alert">
            {sentenceOf(command.error)}
          </p>
        )}
        <p className="acts">
          <button className="btn" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="btn ink" type="submit" disabled={command.isPending}>
            Resume from v{count(version)}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

export function ForkRun({ detail, version, onClose, onMade }: MakingProps) {
  const { run, name, spec } = detail;
  return (
    <SpecDialog
      title={`Fork ${name} from version ${count(version)}`}
      intro={
        <>
          A new run begins with the weights of version {count(version)} and goes its own way by the specification below; its ledger names{" "}
          {name} as its parent, and {name} itself is not changed. Other data, another sampler or seed begin at the first sample; another
          kind of optimiser begins with a fresh state; the model’s shape has to stay.
        </>
      }
      first={textOf({ ...spec, name: nameAfter(name, "fork") })}
      act="Fork and start"
      command={(changed) => ({ type: "fork", run, version, spec: changed })}
      onClose={onClose}
      onMade={onMade}
    />
  );
}
