import type { WorkNotice } from "@weft/protocol";
import { expect, test } from "vitest";
import { WorkNotices } from "./work-notices.ts";

test("at most five notices a second leave; of those beyond the newest of each run leaves later", () => {
  const sent: WorkNotice[] = [];
  const notices = new WorkNotices((notice) => sent.push(notice));
  for (let version = 0; version < 40; version += 1) notices.add({ run: version % 2 === 0 ? "even" : "odd", version }, 10_000 + version);
  expect(sent.map(({ version }) => version)).toEqual([0, 1, 2, 3, 4]);
  notices.flush(10_500);
  expect(sent).toHaveLength(5);
  notices.flush(11_100);
  expect(sent.slice(5)).toEqual([
    { run: "odd", version: 39 },
    { run: "even", version: 38 },
  ]);
  notices.flush(12_000);
  expect(sent).toHaveLength(7);
});
