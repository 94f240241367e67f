import { appendRecords, createIdentity } from "@weft/ledger";
import type { ModelSpec } from "@weft/protocol";
import { unzipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { checkpointProvenance } from "./provenance.ts";
import { readCheckpoint } from "./read-checkpoint.ts";
import { coordinator, example, GPT } from "./support/example.ts";
import { craftZip } from "./support/zip.ts";
import { checkpointTraining } from "./training-state.ts";
import { writeCheckpoint } from "./write-checkpoint.ts";

const FOLDER = "marks-v000120";
const INPUT = example();
const FILES: Readonly<Record<string, Uint8Array>> = unzipSync(writeCheckpoint(INPUT));
const readOf = (files: Record<string, Uint8Array | undefined>) => {
  const read = readCheckpoint(
    craftZip(Object.entries(files).flatMap(([name, content]) => (content === undefined ? [] : [{ name, content, deflate: false }]))),
  );
  if (!read.ok) throw new Error(read.message);
  return read.value;
};
const checked = (files: Record<string, Uint8Array | undefined>) => checkpointProvenance(readOf({ ...FILES, ...files }), INPUT.layout);
const textOf = (name: string): string => new TextDecoder().decode(FILES[`${FOLDER}/${name}`]);
const changed = (name: string, from: string, to: string) => {
  const text = textOf(name);
  expect(text).toContain(from);
  return { [`${FOLDER}/${name}`]: new TextEncoder().encode(text.replace(from, to)) };
};

describe("a checkpoint's training state", () => {
  it("comes back as it was: steps, position, and the optimiser's bytes", () => {
    const { steps, position, optimizer } = INPUT.training;
    expect(checkpointTraining(readOf({ ...FILES }))).toEqual({ ok: true, value: { version: 120, steps, position, optimizer } });
  });

  it.each(["training_state/state.json", "training_state/optimizer_state.safetensors"])("is refused without %s", (name) => {
    expect(checkpointTraining(readOf({ ...FILES, [`${FOLDER}/${name}`]: undefined }))).toMatchObject({ ok: false, code: "damaged" });
  });

  it("is refused with a negative position", () => {
    expect(
      checkpointTraining(readOf({ ...FILES, ...changed("training_state/state.json", '"position": 3', '"position": -3') })),
    ).toMatchObject({
      code: "damaged",
    });
  });
});

describe("a checkpoint's provenance", () => {
  it("holds together: signed records that name these weights, this optimiser state, this data and this specification", () => {
    const found = checked({});
    if (!found.ok) throw new Error(found.message);
    const { created, made, manifest, weights } = found.value;
    expect(created).toEqual(INPUT.provenance.created);
    expect(made).toEqual(INPUT.provenance.made);
    expect(manifest).toEqual(INPUT.manifest);
    expect(weights).toEqual(INPUT.weights);
    expect(created.event.coordinator).toBe(coordinator.publicKey);
  });

  it("holds together for a model whose export adds zeros", () => {
    const input = example(GPT as unknown as ModelSpec);
    const read = readCheckpoint(writeCheckpoint(input));
    if (!read.ok) throw new Error(read.message);
    expect(checkpointProvenance(read.value, input.layout)).toMatchObject({ ok: true, value: { weights: input.weights } });
  });

  it("holds together where another coordinator had adopted the run, which then signs its versions", () => {
    const heir = createIdentity(new Uint8Array(32).fill(10));
    const { previous, made } = INPUT.provenance;
    const [signed] = appendRecords({ run: "marks", seq: made.seq - 1, hash: previous }, [made.event], made.atMs, heir.sign);
    const version = (coordinator: string) => ({
      [`${FOLDER}/provenance/version.json`]: new TextEncoder().encode(JSON.stringify({ coordinator, previous, record: signed })),
    });
    expect(checked(version(heir.publicKey))).toMatchObject({ ok: true, value: { coordinator: heir.publicKey } });
    expect(checked(version(coordinator.publicKey))).toMatchObject({ ok: false, code: "damaged" });
  });

  const other = { ...INPUT, weights: INPUT.weights.map((value, index) => (index === 0 ? -value : value)) };
  it.each<[string, () => Record<string, Uint8Array | undefined>, RegExp]>([
    [
      "other weights",
      () => ({ [`${FOLDER}/model.safetensors`]: unzipSync(writeCheckpoint(other))[`${FOLDER}/model.safetensors`] }),
      /weights are not/,
    ],
    [
      "another optimiser state",
      () => ({ [`${FOLDER}/training_state/optimizer_state.safetensors`]: new Uint8Array(100) }),
      /training_state is not that of version 120/,
    ],
    ["a state of another version", () => changed("training_state/state.json", '"version": 120', '"version": 121'), /training_state is not/],
    ["another data set", () => changed("provenance/dataset.json", "Collected by", "Invented by"), /not that of the run's data set/],
    ["another specification", () => changed("train_config.json", '"seed": 7', '"seed": 8'), /another specification/],
    ["a contribution by another", () => changed("provenance/version.json", "a".repeat(64), "b".repeat(64)), /version 120 is not signed/],
    ["another place in the chain", () => changed("provenance/version.json", "5".repeat(64), "6".repeat(64)), /version 120 is not signed/],
    ["another code revision", () => changed("provenance/run-created.json", "0123abc", "0123abd"), /run-created is not signed/],
    [
      "another coordinator's name on it",
      () => changed("provenance/run-created.json", coordinator.publicKey, "c".repeat(64)),
      /run-created is not signed/,
    ],
    [
      "the two records exchanged",
      () => ({ [`${FOLDER}/provenance/run-created.json`]: new TextEncoder().encode(JSON.stringify(INPUT.provenance.made)) }),
      /not those that make a run/,
    ],
    ["no record of the version", () => ({ [`${FOLDER}/provenance/version.json`]: undefined }), /missing/],
  ])("is refused with %s", (_, files, message) => {
    const found = checked(files());
    expect(found).toMatchObject({ ok: false, code: "damaged" });
    if (!found.ok) expect(found.message).toMatch(message);
  });
});
