// Bench `ingest`: how fast the coordinator takes updates in (part `accept`), and how fast it makes one of many (part `fold`).
import type { Bench } from "../../bench.ts";
import { ACCEPT_PLANS, acceptRows } from "./accept.ts";
import { FOLD_PLANS, foldRows } from "./fold.ts";

export const ingestBench: Bench = {
  name: "ingest",
  about: "from the socket to the disk, and from many updates to one, against copying and writing the same bytes",
  async run(context) {
    const size = context.short ? "short" : "full";
    const wanted = (part: string): boolean => context.only === null || part.includes(context.only);
    return [
      ...(wanted("fold") ? foldRows(FOLD_PLANS[size], context) : []),
      ...(wanted("accept") ? await acceptRows(ACCEPT_PLANS[size], context) : []),
    ];
  },
};
