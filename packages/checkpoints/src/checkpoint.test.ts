import { parseSafetensorsMetadata } from "@huggingface/hub";
import { Tokenizer } from "@huggingface/tokenizers";
import type { ModelSpec, Result } from "@weft/protocol";
import { writeSafetensors } from "@weft/tensors";
import { strFromU8, unzipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { CHECKPOINT_FILES, type CheckpointFiles } from "./checkpoint-files.ts";
import { type Checkpoint, checkpointSpec, checkpointWeights, readCheckpoint } from "./read-checkpoint.ts";
import { ALPHABET, CNN, example, GPT, LSTM, MLP } from "./support/example.ts";
import { craftZip } from "./support/zip.ts";
import { writeCheckpoint } from "./write-checkpoint.ts";

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.message);
  return result.value;
};
/** By fflate, which is not our reader. */
const filesOf = (input: CheckpointFiles): Record<string, string> =>
  Object.fromEntries(
    Object.entries(unzipSync(writeCheckpoint(input))).map(([path, content]) => [
      path.replace("marks-v000120/", ""),
      strFromU8(content, true),
    ]),
  );
const textOf = (input: CheckpointFiles, name: string): string => {
  const content = unzipSync(writeCheckpoint(input))[`marks-v000120/${name}`];
  if (content === undefined) throw new Error(`${name} is missing`);
  return new TextDecoder().decode(content);
};
const MODELS = [MLP, CNN, LSTM, GPT, { ...GPT, bias: true, gelu: "tanh" }] as unknown as readonly ModelSpec[];

describe.each(MODELS)("a checkpoint of $kind", (model) => {
  it("comes back with the same weights, bit for bit, and the same specification", () => {
    const input = example(model);
    const checkpoint = value(readCheckpoint(writeCheckpoint(input)));
    expect(checkpoint.folder).toBe("marks-v000120");
    const spec = value(checkpointSpec(checkpoint));
    expect(spec).toEqual(input.spec);
    expect(value(checkpointWeights(checkpoint, spec.model, input.layout))).toEqual(input.weights);
  });

  it("is the same bytes for the same input, names only known files, and stores them uncompressed", () => {
    const archive = writeCheckpoint(example(model));
    expect(writeCheckpoint(example(model))).toEqual(archive);
    const names = Object.keys(filesOf(example(model)));
    expect(CHECKPOINT_FILES.filter((name) => names.includes(name))).toEqual(names);
    const checkpoint = value(readCheckpoint(archive));
    const weights = checkpoint.files.get("model.safetensors") as Uint8Array;
    expect(Buffer.from(archive).includes(Buffer.from(weights))).toBe(true);
  });

  it("holds a safetensors file that the Hugging Face hub's parser takes", async () => {
    const input = example(model);
    const file = value(readCheckpoint(writeCheckpoint(input))).files.get("model.safetensors") as Uint8Array;
    const parsed = await parseSafetensorsMetadata({
      repo: "weft/marks",
      path: "model.safetensors",
      fetch: async (_url, init) => {
        const range = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("range") ?? "");
        const [from, to] = [Number(range?.[1] ?? 0), Math.min(Number(range?.[2] ?? file.length - 1), file.length - 1)];
        const headers = { "content-range": `bytes ${from}-${to}/${file.length}`, "content-length": String(to + 1 - from), etag: '"x"' };
        return new Response(file.slice(from, to + 1), { status: range === null ? 200 : 206, headers });
      },
    });
    if (parsed.sharded) throw new Error("one file was written");
    for (const { name, shape } of input.layout.parameters) expect(parsed.header[name]).toMatchObject({ dtype: "F32", shape });
  });
});

describe("a gpt's files", () => {
  const gpt = GPT as unknown as ModelSpec;
  it("are configured as GPT-2 in Transformers is", () => {
    expect(JSON.parse(textOf(example(gpt), "config.json"))).toMatchObject({
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      vocab_size: 6,
      n_positions: 8,
      n_embd: 4,
      n_layer: 1,
      n_head: 2,
      activation_function: "gelu",
      tie_word_embeddings: true,
      attn_pdrop: 0,
      layer_norm_epsilon: 1e-5,
    });
    const tanh = { ...GPT, gelu: "tanh" } as unknown as ModelSpec;
    expect(JSON.parse(textOf(example(tanh), "config.json")).activation_function).toBe("gelu_new");
  });

  it("hold every bias that GPT-2 has, as zeros, where the model has none", () => {
    const { tensors } = value(readCheckpoint(writeCheckpoint(example(gpt))));
    const biased = value(readCheckpoint(writeCheckpoint(example({ ...GPT, bias: true } as unknown as ModelSpec)))).tensors;
    expect([...tensors.keys()]).toEqual([...biased.keys()]);
    for (const [name, { shape, values }] of tensors) {
      expect(shape).toEqual(biased.get(name)?.shape);
      if (name.endsWith(".bias")) expect(new Set(values)).toEqual(new Set([0]));
    }
    expect([...tensors.keys()].filter((name) => name.endsWith(".bias")).length).toBe(7);
  });

  it("hold a tokeniser with which the Tokenizers library gives the data set's own ids, digits and all, and the text back", () => {
    const tokenizer = new Tokenizer(
      JSON.parse(textOf(example(gpt), "tokenizer.json")),
      JSON.parse(textOf(example(gpt), "tokenizer_config.json")),
    );
    const text = ALPHABET.toReversed().join("") + ALPHABET.join("");
    const ids = [5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5];
    expect(tokenizer.encode(text).ids).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it("cannot be written for a data set of images", () => {
    expect(() => writeCheckpoint({ ...example(gpt), manifest: example().manifest })).toThrow(TypeError);
  });
});

describe("the model card", () => {
  it("begins with front matter that the hub reads: licence, library, tags, data, metric", () => {
    expect(textOf(example(), "README.md")).toMatch(
      /^---\nlicense: apache-2\.0\nlibrary_name: pytorch\npipeline_tag: image-classification\ntags:\n- weft\n- volunteer-computing\n- mlp\ndatasets:\n- "marks"\nmetrics:\n- accuracy\nmodel_name: "marks"\n---\n\n# Marks, version 120\n/,
    );
    const own = { ...example(), spec: { ...example().spec, license: "LicenseRef-Own" } };
    expect(textOf(own, "README.md")).toMatch(/^---\nlicense: other\nlicense_name: "LicenseRef-Own"\nlicense_link: LICENSE\n/);
  });

  it("shows how good the version is, the data's licence and credit, and where the weights come from", () => {
    const card = textOf(example(), "README.md");
    expect(card).toContain("| 120 | 0.2500 | 97.22 % |");
    expect(card).toContain("[CC-BY-4.0](https://spdx.org/licenses/CC-BY-4.0.html)");
    expect(card).toContain("| Ada | 20,000 |");
    expect(card).toContain(example().weightsSha256);
    expect(card).toContain("step 118 of 240");
    expect(card).not.toContain("went on");
    const { created } = example().provenance;
    const origin = {
      change: "fork",
      run: "older",
      version: 40,
      seq: 3,
      head: "1".repeat(64),
      position: 0,
      steps: 0,
      optimizer: null,
    } as const;
    const forked = { ...example().provenance, created: { ...created, event: { ...created.event, origin } } };
    expect(textOf({ ...example(), provenance: forked }, "README.md")).toContain("the version 40 of run `older` from which it went on");
    expect(textOf(example(GPT as unknown as ModelSpec), "README.md")).toContain("| 120 | 0.2500 | 1.284 | 97.22 % |");
    expect(textOf(example(), "ATTRIBUTION.md")).toContain("Collected by A\\. Person \\| 1998");
  });

  it.each([
    ["**bold** [x](javascript:alert(1))", "\\*\\*bold\\*\\* \\[x\\]\\(javascript\\:alert\\(1\\)\\)"],
    ["<img src=x onerror=y>", "\\<img src\\=x onerror\\=y\\>"],
    ["a | b", "a \\| b"],
    ["# head", "\\# head"],
    ["`code`", "\\`code\\`"],
    ["https://evil.example", "https\\:\\/\\/evil\\.example"],
    ["日本 é ·", "日本 é ·"],
  ])("escapes the contributor's name %s", (name, shown) => {
    expect(textOf({ ...example(), contributors: [{ name, samples: 1 }] }, "README.md")).toContain(`| ${shown} | 1 |`);
  });

  it("keeps a citation with backticks inside its fence", () => {
    expect(textOf(example(), "ATTRIBUTION.md")).toContain("````\n@misc{marks, title = {Marks}}\n```\n````");
  });

  it("thins many evaluations and lists at most 200 contributors, saying how many more there are", () => {
    const many = {
      ...example(),
      metrics: Array.from({ length: 500 }, (_, index) => ({ version: index, lossMean: 1, accuracy: null })),
      contributors: Array.from({ length: 1205 }, (_, index) => ({ name: `n${index}`, samples: 1 })),
    };
    const card = textOf(many, "README.md");
    expect(card.match(/^\| \d+ \| 1\.0000 \|/gm)?.length).toBe(12);
    expect(card).toContain("| 499 | 1.0000 |");
    expect(card).toContain("and 1,005 more");
  });

  it("shows PyTorch code with the model's own layers", () => {
    expect(textOf(example(), "README.md")).toContain("self.fc1 = torch.nn.Linear(4, 3)\n        self.fc2 = torch.nn.Linear(3, 2)");
    const cnn = textOf(example(CNN), "README.md");
    expect(cnn).toContain("self.conv2 = torch.nn.Conv2d(2, 3, 3, padding=1)");
    expect(cnn).toContain("self.fc1 = torch.nn.Linear(12, 5)");
    const lstm = textOf(example(LSTM), "README.md");
    expect(lstm).toContain("self.lstm = torch.nn.LSTM(2, 3, 1, batch_first=True)");
    expect(lstm).toContain("library_name: pytorch\npipeline_tag: text-generation");
    expect(textOf(example(GPT as unknown as ModelSpec), "README.md")).toContain('AutoModelForCausalLM.from_pretrained(".")');
  });
});

describe("readCheckpoint", () => {
  const parts = (change: Record<string, Uint8Array | undefined>): Uint8Array => {
    const files: Record<string, Uint8Array | undefined> = { ...unzipSync(writeCheckpoint(example())), ...change };
    return craftZip(Object.entries(files).flatMap(([name, content]) => (content === undefined ? [] : [{ name, content, deflate: true }])));
  };
  it("reads an archive that somebody unpacked and packed again", () => {
    expect(readCheckpoint(parts({})).ok).toBe(true);
  });

  it.each<[string, Record<string, Uint8Array | undefined>, RegExp]>([
    ["a file that no checkpoint has", { "marks-v000120/run.sh": new Uint8Array(1) }, /run\.sh.*does not belong/],
    ["a path out of its folder", { "marks-v000120/../config.json": new Uint8Array(1) }, /does not belong/],
    ["a file outside its folder", { "README.md": new Uint8Array(1) }, /does not belong/],
    ["a second folder", { "other-v000001/README.md": new Uint8Array(1) }, /does not belong/],
    ["a text of more than 4 MiB", { "marks-v000120/README.md": new Uint8Array(4 * 1024 * 1024 + 1) }, /at most/],
    ["no weights", { "marks-v000120/model.safetensors": undefined }, /model\.safetensors is missing/],
    ["damaged weights", { "marks-v000120/model.safetensors": new Uint8Array(20).fill(255) }, /model\.safetensors:/],
    ["no configuration", { "marks-v000120/config.json": undefined }, /config\.json/],
    ["a configuration that is not JSON", { "marks-v000120/train_config.json": new Uint8Array([0x7b]) }, /train_config\.json/],
  ])("refuses %s", (_, change, message) => {
    const result = readCheckpoint(parts(change));
    expect(result).toMatchObject({ ok: false, code: "damaged" });
    if (!result.ok) expect(result.message).toMatch(message);
  });

  it("refuses weights that are not exactly the model's, and a bias that should be zero and is not", () => {
    const input = example(GPT as unknown as ModelSpec);
    const good = value(readCheckpoint(writeCheckpoint(input)));
    const changed = (change: (checkpoint: Checkpoint) => readonly [string, { shape: readonly number[]; values: Float32Array } | null]) => {
      const [name, tensor] = change(good);
      const tensors = new Map(good.tensors);
      if (tensor === null) tensors.delete(name);
      else tensors.set(name, { name, ...tensor });
      return checkpointWeights({ ...good, tensors }, input.spec.model, input.layout);
    };
    for (const result of [
      changed(() => ["transformer.wte.weight", null]),
      changed(() => ["transformer.wte.weight", { shape: [4, 6], values: new Float32Array(24) }]),
      changed(() => ["lm_head.weight", { shape: [6, 4], values: new Float32Array(24) }]),
      changed(() => ["transformer.ln_f.bias", { shape: [4], values: Float32Array.of(0, 0, 1, 0) }]),
    ])
      expect(result).toMatchObject({ ok: false, code: "damaged" });
    expect(changed(() => ["transformer.ln_f.bias", null]).ok).toBe(true);
  });

  it("refuses a train_config.json without a specification", () => {
    const weights = writeSafetensors([]);
    const text = (content: string) => new TextEncoder().encode(content);
    for (const content of ["null", "{}", '{"spec":{"name":1}}']) {
      const archive = craftZip([
        { name: "a-v000001/config.json", content: text("{}") },
        { name: "a-v000001/train_config.json", content: text(content) },
        { name: "a-v000001/model.safetensors", content: weights },
      ]);
      expect(checkpointSpec(value(readCheckpoint(archive)))).toMatchObject({ ok: false, code: "damaged" });
    }
  });
});
