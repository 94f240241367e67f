// The two doors of the desk: signing in with e-mail and password, and choosing them after the one-time link.
import { type FormEvent, useId, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { useSessionCall } from "./session.ts";

interface FieldProps {
  readonly label: string;
  readonly type: "text" | "email" | "password";
  readonly value: string;
  readonly autoComplete: string;
  readonly hint?: string;
  readonly minLength?: number;
  readonly onChange: (value: string) => void;
}
function Field({ label, hint, onChange, ...input }: FieldProps) {
  const id = useId();
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        required
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        {...input}
        onChange={(event) => onChange(event.target.value)}
      />
      {hint !== undefined && (
        <span className="note" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </p>
  );
}

const Failure = ({ error }: { error: unknown }) =>
  error === null ? null : (
    <p className="notice" role="alert">
      {sentenceOf(error)}
    </p>
  );

export function SignIn({ passwordSet, linkFailure }: { passwordSet: boolean; linkFailure: string | null }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const call = useSessionCall<{ email: string; password: string }>("/api/admin/sign-in");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    call.mutate({ email, password });
  };
  return (
    <main id="main" className="page door">
      <h1>Sign in</h1>
      {linkFailure !== null && (
        <p className="notice" role="alert">
          {linkFailure}
        </p>
      )}
      {passwordSet ? (
        <form onSubmit={submit}>
          <Field label="E-mail" type="email" value={email} autoComplete="username" onChange={setEmail} />
          <Field label="Password" type="password" value={password} autoComplete="current-password" onChange={setPassword} />
          <Failure error={call.error} />
          <p className="acts">
            <button className="btn ink" type="submit" disabled={call.isPending}>
              Sign in
            </button>
          </p>
        </form>
      ) : (
        <p className="lead">
          Nobody administers this coordinator yet. Open the address with the one-time token that it printed in its terminal; it works once,
          for a quarter of an hour. A restart prints a new one.
        </p>
      )}
    </main>
  );
}

/** Least length that the coordinator accepts. */
const MIN_PASSWORD = 10;

export function ChoosePassword() {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const call = useSessionCall<{ name: string; email: string; password: string }>("/api/admin/password");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    call.mutate({ name: name.normalize("NFC").trim(), email: email.trim(), password });
  };
  return (
    <main id="main" className="page door">
      <h1>Make it yours</h1>
      <p className="lead">The one-time link let you in. Choose how to sign in from now on; the link is spent.</p>
      <form onSubmit={submit}>
        <Field
          label="Name"
          type="text"
          value={name}
          autoComplete="name"
          hint="Shown beside what you do, 1 to 32 characters"
          onChange={setName}
        />
        <Field
          label="E-mail"
          type="email"
          value={email}
          autoComplete="username"
          hint="To sign in with; nothing is sent to it"
          onChange={setEmail}
        />
        <Field
          label="Password"
          type="password"
          value={password}
          autoComplete="new-password"
          minLength={MIN_PASSWORD}
          hint={`At least ${MIN_PASSWORD} characters`}
          onChange={setPassword}
        />
        <Failure error={call.error} />
        <p className="acts">
          <button className="btn ink" type="submit" disabled={call.isPending}>
            Keep and go to the desk
          </button>
        </p>
      </form>
    </main>
  );
}
