// The dialog in which a run is made from nothing.
import { useLive } from "../live/observer.ts";
import { SpecDialog, textOf } from "./spec-dialog.tsx";
import { EXAMPLE } from "./spec-form.ts";

export function CreateRun({ onClose }: { onClose: (created: string | null) => void }) {
  const detail = useLive((live) => live.detail);
  return (
    <SpecDialog
      title="New run"
      intro="A run is one JSON text: data, model, rule, schedule. It starts at once; what it says is kept in its ledger for good."
      first={textOf(EXAMPLE)}
      other={detail === null ? null : { label: `Start from ${detail.name}`, text: textOf(detail.spec) }}
      act="Create and start"
      command={(spec) => ({ type: "create-run", spec })}
      onClose={() => onClose(null)}
      onMade={onClose}
    />
  );
}
