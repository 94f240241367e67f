import type { RunDetail } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { EXAMPLE } from "../admin/spec-form.ts";
import { checksOf } from "./check-it.tsx";

const texts = (parts: Partial<RunDetail>): readonly string[] =>
  checksOf({ run: "digits-again", spec: EXAMPLE, origin: null, ...parts }, "https://weft.test").map(
    ({ command, text }) => `${command} ${text}`,
  );

describe("how to check a run", () => {
  it("names the run, the coordinator and what is kept", () => {
    const [verify = "", replay = "", archive = ""] = texts({});
    expect(verify).toContain("npx weft verify digits-again --url https://weft.test");
    expect(verify).toContain("no sample of an epoch was counted twice");
    expect(replay).toContain("from the first");
    expect(replay).toContain("Contributions of the newest 100 versions are kept");
    expect(archive).toContain("npx weft runs export digits-again");
  });
  it("claims no epochs where windows are drawn at random, and begins a resumed run where it began", () => {
    const spec = { ...EXAMPLE, sampler: { kind: "random-window" as const }, retention: { contributions: "none" as const } };
    const [verify = "", replay = ""] = texts({ spec, origin: { run: "digits", version: 80 } as RunDetail["origin"] });
    expect(verify).not.toContain("epoch");
    expect(replay).toContain("from v80 of digits");
    expect(replay).toContain("cannot be computed again");
  });
});
