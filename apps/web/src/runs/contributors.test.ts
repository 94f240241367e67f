import type { VolunteerView } from "@weft/protocol";
import { describe, expect, it } from "vitest";
import { loadLines } from "./checkpoints.tsx";
import { sharesOf } from "./contributors.tsx";
import { downloadOf, folderOf } from "./downloads.ts";

const view = (volunteer: string, samples: number): VolunteerView =>
  ({ volunteer: volunteer.repeat(64).slice(0, 64), name: volunteer, samples }) as VolunteerView;

describe("contributors", () => {
  it("stand by their share, the reader in madder, those without a sample not at all", () => {
    const all = [view("a", 10), view("b", 30), view("c", 0)];
    expect(sharesOf(all, "b".repeat(64)).map(({ name, share, tint }) => [name, share, tint === 0])).toEqual([
      ["b (you)", 0.75, true],
      ["a", 0.25, false],
    ]);
  });
  it("beyond the named are counted together, and nothing is lost", () => {
    const all = Array.from({ length: 20 }, (_, index) => view(String.fromCharCode(97 + index), index + 1));
    const shares = sharesOf(all, null);
    expect(shares).toHaveLength(12);
    expect(shares[11]?.name).toBe("9 others");
    expect(shares.reduce((sum, share) => sum + share.share, 0)).toBeCloseTo(1, 12);
  });
  it("are nobody before the first sample", () => {
    expect(sharesOf([view("a", 0)], null)).toEqual([]);
  });
});

it("the lines that load a checkpoint name the folder it unpacks into", () => {
  expect(folderOf("austen", 400)).toBe("austen-v000400");
  expect(downloadOf("austen", 400)).toBe("/api/runs/austen/checkpoints/400");
  expect(loadLines("gpt", "austen-v000400")).toContain('"austen-v000400"');
  expect(loadLines("mlp", "digits-v000240")).toContain('"digits-v000240/model.safetensors"');
});
