// What was refused and why, and what happened otherwise, newest first.
import type { RunDetail } from "@weft/protocol";
import { clock, count } from "../words/figures.ts";
import { nameOf, shortVolunteer } from "../words/run-words.ts";
import { rejectedOf } from "./strip.tsx";

const SHOWN = 12;

export function Rejections({ detail }: { detail: RunDetail }) {
  const rejected = rejectedOf(detail);
  const codes = Object.entries(detail.rejectedByCode).sort((a, b) => b[1] - a[1]);
  const newest = detail.rejections.slice(-SHOWN).reverse();
  const names = new Map(detail.volunteers.map((view) => [view.volunteer, nameOf(view)]));
  return (
    <section className="sec" id="rejections" aria-labelledby="h-rej">
      <div className="sec-head">
        <h2 id="h-rej">Rejections</h2>
        <span className="note">
          {[`${count(rejected)} of ${count(detail.settled + rejected)}`, ...codes.map(([code, many]) => `${code} ${count(many)}`)].join(
            " · ",
          )}
        </span>
      </div>
      {newest.length === 0 ? (
        <p className="small quiet">Nothing has been refused so far.</p>
      ) : (
        <table className="rej">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Code</th>
              <th scope="col">Who</th>
              <th scope="col">Lease</th>
              <th scope="col">What was found</th>
            </tr>
          </thead>
          <tbody>
            {newest.map((rejection, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: two alike may fall in one millisecond; rows keep no state
              <tr key={`${rejection.atMs} ${rejection.volunteer} ${newest.length - index}`}>
                <td>
                  <time>{clock(rejection.atMs)}</time>
                </td>
                <td className="code">{rejection.code}</td>
                <td>{names.get(rejection.volunteer) ?? shortVolunteer(rejection.volunteer)}</td>
                <td>{rejection.lease ?? "–"}</td>
                <td>{rejection.detail}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

export function WhatHappened({ detail }: { detail: RunDetail }) {
  const newest = detail.log.slice(-SHOWN).reverse();
  return (
    <section className="sec" aria-labelledby="h-log">
      <div className="sec-head">
        <h2 id="h-log">What happened</h2>
        <a className="end note" href={`/api/runs/${detail.run}/ledger`}>
          Ledger, as JSON lines
        </a>
      </div>
      <ol className="log">
        {newest.map((line) => (
          <li key={line.seq}>
            <time>{clock(line.atMs)}</time>
            <span>{line.text}</span>
          </li>
        ))}
      </ol>
      {newest.length === 0 && <p className="small quiet">Nothing yet.</p>}
    </section>
  );
}
