// The table of volunteers: find, sort, block. Rows come sorted from volunteer-table.ts.
import type { RunDetail, VolunteerView } from "@weft/protocol";
import { Fragment, type ReactNode, useState } from "react";
import { sentenceOf } from "../app/api.ts";
import { useNow } from "../live/use-now.ts";
import { count, moment, plural, rate } from "../words/figures.ts";
import { nameOf, shortVolunteer } from "../words/run-words.ts";
import { timeWords } from "../words/time-words.ts";
import { Confirm } from "./dialog.tsx";
import { useCommand } from "./session.ts";
import { backendOf, type Order, type SortKey, shownVolunteers } from "./volunteer-table.ts";

interface ColumnSpec {
  readonly key: SortKey;
  readonly title: string;
  readonly number: boolean;
  /** Left out where the page is narrow. */
  readonly minor: boolean;
  readonly cell: (view: VolunteerView, nowMs: number) => ReactNode;
}
/** Above this many rejections a volunteer's figure stands out. */
const MANY_REJECTED = 3;
/** Pixels of bar for the fastest volunteer. */
const BAR_PX = 48;

const columnsFor = (fastest: number): readonly ColumnSpec[] => [
  { key: "name", title: "Volunteer", number: false, minor: false, cell: (view) => view.name ?? <span className="quiet">no name</span> },
  { key: "key", title: "Key", number: false, minor: true, cell: (view) => <span className="hash">{shortVolunteer(view.volunteer)}</span> },
  { key: "device", title: "Device", number: false, minor: false, cell: (view) => view.device.description },
  { key: "backend", title: "Backend", number: false, minor: true, cell: backendOf },
  {
    key: "speed",
    title: "Samples/s",
    number: true,
    minor: false,
    cell: ({ samplesPerSecond }) =>
      samplesPerSecond === null ? (
        "–"
      ) : (
        <>
          <span className="bar1" style={{ width: `${(BAR_PX * samplesPerSecond) / fastest}px` }} />
          {rate(samplesPerSecond)}
        </>
      ),
  },
  { key: "leases", title: "Leases", number: true, minor: true, cell: (view) => count(view.leasesOpen) },
  { key: "staleness", title: "Stale", number: true, minor: true, cell: (view) => count(view.stalenessLast) },
  { key: "settled", title: "Accepted", number: true, minor: false, cell: (view) => count(view.leasesSettled) },
  { key: "samples", title: "Samples", number: true, minor: true, cell: (view) => count(view.samples) },
  {
    key: "rejected",
    title: "Rejected",
    number: true,
    minor: true,
    cell: (view) => (view.rejected > MANY_REJECTED ? <span className="bad">{count(view.rejected)}</span> : count(view.rejected)),
  },
  { key: "expired", title: "Expired", number: true, minor: true, cell: (view) => count(view.expired) },
  { key: "since", title: "Since", number: true, minor: true, cell: (view, nowMs) => moment(view.joinedAtMs, nowMs) },
];

const sortState = (order: Order, key: SortKey) => (order.key !== key ? undefined : order.ascending ? "ascending" : "descending");

export function Volunteers({ detail }: { detail: RunDetail }) {
  const [find, setFind] = useState("");
  const [order, setOrder] = useState<Order>({ key: "speed", ascending: false });
  const [blocking, setBlocking] = useState<VolunteerView | null>(null);
  const nowMs = useNow(30_000);
  const command = useCommand();
  const rows = shownVolunteers(detail.volunteers, find, order);
  const columns = columnsFor(Math.max(1e-9, ...detail.volunteers.map((view) => view.samplesPerSecond ?? 0)));
  const sort = (column: ColumnSpec) =>
    setOrder((now) => ({ key: column.key, ascending: now.key === column.key ? !now.ascending : !column.number }));
  return (
    <section className="sec" aria-labelledby="h-vol">
      <div className="sec-head">
        <h2 id="h-vol">Volunteers</h2>
        <span className="note">
          {count(detail.volunteersNow)} here, {count(detail.volunteersEver)} since the start
        </span>
        <div className="end">
          <input
            type="search"
            placeholder="Name, key, device"
            aria-label="Find a volunteer"
            value={find}
            onChange={(event) => setFind(event.target.value)}
          />
        </div>
      </div>
      {detail.volunteers.length === 0 ? (
        <div className="bare empty bare-table">
          <p className="small">Nobody has joined yet. Whoever opens the first page and presses the button stands here.</p>
        </div>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
        <section className="scroll" tabIndex={0} aria-label="Table of volunteers">
          <table className="vol">
            <thead>
              <tr>
                {columns.map((column) => (
                  <th
                    key={column.key}
                    scope="col"
                    className={`${column.number ? "num" : ""}${column.minor ? " hide" : ""}`}
                    aria-sort={sortState(order, column.key)}
                  >
                    <button type="button" onClick={() => sort(column)}>
                      {column.title}
                    </button>
                  </th>
                ))}
                <th scope="col">
                  <span className="vh">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((view) => {
                const time = timeWords(view.spentMs);
                return (
                  <Fragment key={view.volunteer}>
                    <tr className={`${view.present ? "" : "gone"}${time === null ? "" : " above-time"}`}>
                      {columns.map((column) => (
                        <td key={column.key} className={`${column.number ? "num" : ""}${column.minor ? " hide" : ""}`}>
                          {column.cell(view, nowMs)}
                        </td>
                      ))}
                      <td className="num">
                        {view.blocked ? (
                          <button
                            className="btn"
                            type="button"
                            aria-label={`Unblock ${nameOf(view)}`}
                            onClick={() => command.mutate({ type: "unblock-volunteer", volunteer: view.volunteer })}
                          >
                            Blocked, unblock
                          </button>
                        ) : (
                          <button className="btn" type="button" aria-label={`Block ${nameOf(view)}`} onClick={() => setBlocking(view)}>
                            Block…
                          </button>
                        )}
                      </td>
                    </tr>
                    {time !== null && (
                      <tr className="time">
                        <td colSpan={columns.length + 1}>
                          <span className="vh">{nameOf(view)}: </span>Time so far: {time}
                        </td>
                      </tr>
                    )}
                  </Fragment>
                );
              })}
              {rows.length === 0 && (
                <tr>
                  <td colSpan={columns.length + 1} className="quiet">
                    Nobody here goes by “{find}”.
                  </td>
                </tr>
              )}
            </tbody>
          </table>
        </section>
      )}
      {command.error !== null && blocking === null && (
        <p className="notice" role="alert">
          {sentenceOf(command.error)}
        </p>
      )}
      {blocking !== null && (
        <Confirm
          title={`Block ${nameOf(blocking)}`}
          text={`The key ${shortVolunteer(blocking.volunteer)} (${blocking.device.description}) gets no lease any more, and those it holds are handed to others. Its ${plural(
            blocking.leasesSettled,
            "accepted lease",
          )} stay in the model and in the ledger. You can undo this.`}
          keep="Let it be"
          act="Block"
          pending={command.isPending}
          failure={command.error === null ? null : sentenceOf(command.error)}
          onKeep={() => {
            command.reset();
            setBlocking(null);
          }}
          onAct={() => command.mutate({ type: "block-volunteer", volunteer: blocking.volunteer }, { onSuccess: () => setBlocking(null) })}
        />
      )}
    </section>
  );
}
