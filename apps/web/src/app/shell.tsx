// What every page stands in: skip link, bar, foot. Knows the pages by their addresses only.
import { Link, Outlet } from "@tanstack/react-router";
import { useStore } from "zustand";
import { lender } from "../lend/lender.ts";
import { observer, useLive } from "../live/observer.ts";
import { count } from "../words/figures.ts";
import { toggleTheme } from "./theme.ts";

const MARK =
  "M0 0h1v2h-1zM1 1h1v2h-1zM2 2h1v2h-1zM3 3h1v2h-1zM4 2h1v2h-1zM5 1h1v2h-1zM6 2h1v2h-1zM7 3h1v2h-1zM8 2h1v2h-1zM9 1h1v2h-1zM10 0h1v2h-1z";

/** The threading draft of a point twill, which happens to be a W. */
const Brand = () => (
  <Link className="brand" to="/">
    <svg viewBox="0 0 11 5" aria-hidden="true">
      <path d={MARK} />
    </svg>
    Weft
  </Link>
);

/** How many machines weave now, or that the line is down. */
function Company() {
  const line = useLive((live) => live.line);
  const people = useLive((live) => live.volunteersNow);
  const lending = useStore(lender.store, ({ snapshot }) => {
    const state = snapshot?.status.state;
    return state === "working" || state === "waiting" || state === "finishing";
  });
  if (line === "down")
    return (
      <output className="state wait" title="The page reconnects by itself">
        The line is down
      </output>
    );
  if (line === "opening") return <span className="wide" />;
  return (
    <span className="wide">
      {people === 0 ? "Nobody is weaving now" : people === 1 ? "One machine is weaving now" : `${count(people)} machines are weaving now`}
      {lending ? ", yours too" : ""}
    </span>
  );
}

export function Shell() {
  observer.open();
  return (
    <>
      <a className="skip" href="#main">
        To the content
      </a>
      <header className="bar">
        <Brand />
        <nav aria-label="Pages">
          <Link to="/" activeOptions={{ exact: true, includeSearch: false }}>
            Lend
          </Link>
          <Link to="/runs">Runs</Link>
          <Link to="/admin" activeOptions={{ includeSearch: false }}>
            Admin
          </Link>
        </nav>
        <div className="bar-end">
          <Company />
          <button className="theme" type="button" aria-label="Light or dark" title="Light or dark" onClick={toggleTheme} />
        </div>
      </header>
      <Outlet />
      <footer className="foot">
        <span>Weft, open source, Apache-2.0</span>
        <Link to="/runs">Runs and checkpoints</Link>
      </footer>
    </>
  );
}

export const NotFound = () => (
  <main id="main" className="page">
    <h1>Nothing is woven here.</h1>
    <p className="lead">
      This address leads nowhere. <Link to="/runs">See the runs</Link> or <Link to="/">lend your graphics card</Link>.
    </p>
  </main>
);
