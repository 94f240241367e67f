// The admin's address: whichever door is needed, then the desk.
import { QueryClientProvider } from "@tanstack/react-query";
import { useEffect } from "react";
import { sentenceOf } from "../app/api.ts";
import { queries } from "../app/queries.ts";
import { Desk } from "./desk.tsx";
import { useLinkPastedLater, useSession } from "./session.ts";
import { ChoosePassword, SignIn } from "./sign-in.tsx";
import "../styles/admin.css";

export const AdminPage = () => (
  <QueryClientProvider client={queries}>
    <Doors />
  </QueryClientProvider>
);

function Doors() {
  const session = useSession();
  useLinkPastedLater();
  useEffect(() => {
    document.title = "Admin · Weft";
  }, []);
  if (session.isPending)
    return (
      <main id="main" className="page door">
        <h1>Admin</h1>
        <p className="lead">Asking the coordinator who you are.</p>
      </main>
    );
  if (session.isError)
    return (
      <main id="main" className="page door">
        <h1>Admin</h1>
        <p className="notice" role="alert">
          <span>{sentenceOf(session.error)}</span>
          <button className="btn tight" type="button" onClick={() => void session.refetch()}>
            Try again
          </button>
        </p>
      </main>
    );
  const { signedIn, passwordSet, linkFailure, name } = session.data;
  if (!signedIn) return <SignIn passwordSet={passwordSet} linkFailure={linkFailure} />;
  if (!passwordSet) return <ChoosePassword />;
  return <Desk name={name ?? "admin"} />;
}
