// The box in which a run's newest model is tried, in this page: a drawing is classified, a beginning is continued.
import { type RunDetail, readsText } from "@weft/protocol";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { count } from "../words/figures.ts";
import { createComputer } from "./computer.ts";
import { Drawing } from "./drawing.tsx";
import type { Subject } from "./messages.ts";
import { Writing } from "./writing.tsx";

export function TryIt({ detail }: { detail: RunDetail }) {
  const computer = useMemo(() => createComputer(), []);
  useEffect(() => () => computer.dispose(), [computer]);
  const [note, setNote] = useState<string | null>(null);
  const { model } = detail.spec;
  const { form } = detail.manifest;
  const subject = useMemo((): Subject => ({ model, weights: detail.weights }), [model, detail.weights]);
  const version = `v${count(detail.version)}`;
  if (form.kind === "text" && readsText(model))
    return (
      <Section note={note ?? `${version}, computed in this page`}>
        <Writing alphabet={form.alphabet} subject={subject} computer={computer} onNote={(text) => setNote(`${version}, ${text}`)} />
      </Section>
    );
  if (form.kind === "images" && !readsText(model) && form.channels === 1)
    return (
      <Section note={note ?? `${version}, computed in this page`}>
        <Drawing
          manifest={detail.manifest}
          form={form}
          subject={subject}
          computer={computer}
          onNote={(text) => setNote(`${version}, ${text}`)}
        />
      </Section>
    );
  return (
    <Section note={version}>
      <p className="small quiet">There is no box for this kind of data yet: it takes text, or images of one channel.</p>
    </Section>
  );
}

const Section = ({ note, children }: { note: string; children: ReactNode }) => (
  <section className="sec" aria-labelledby="h-t">
    <div className="sec-head">
      <h2 id="h-t">Try it</h2>
      <span className="note">{note}</span>
    </div>
    {children}
  </section>
);
