// The name under which the reader's work is shown: theirs to give, to change, or to leave out.
import { isDisplayName } from "@weft/protocol";
import { type FormEvent, useState } from "react";
import { shortVolunteer } from "../words/run-words.ts";
import { lender } from "./lender.ts";

export function YourName({ name, volunteer }: { name: string | null; volunteer: string | null }) {
  const [draft, setDraft] = useState(name ?? "");
  const wanted = draft.normalize("NFC").trim();
  const wrong = wanted !== "" && !isDisplayName(wanted);
  const save = (event: FormEvent) => {
    event.preventDefault();
    if (!wrong) lender.setName(wanted === "" ? null : wanted);
  };
  return (
    <form className="row" onSubmit={save}>
      <label htmlFor="name">Known as</label>
      <input
        id="name"
        className="in name"
        type="text"
        value={draft}
        maxLength={64}
        autoComplete="nickname"
        placeholder={volunteer === null ? "a name, if you like" : shortVolunteer(volunteer)}
        aria-invalid={wrong}
        aria-describedby={wrong ? "name-wrong" : undefined}
        onChange={(event) => setDraft(event.target.value)}
      />
      <button className="btn tight" type="submit" disabled={wrong || wanted === (name ?? "")}>
        Save
      </button>
      {wrong && (
        <span className="note bad" id="name-wrong">
          1 to 32 visible characters
        </span>
      )}
    </form>
  );
}
