// Computes a run's newest model beside the page: one question after another, engine and weights kept between them.
// Loaded when the try-it box is first used. Knows no page.

import { datasetReader } from "@weft/datasets";
import { createEngine, type Engine } from "@weft/engine";
import { readsText } from "@weft/protocol";
import { fetchBlob } from "./blobs.ts";
import type { Answer, Answered, Asked, Question, Subject } from "./messages.ts";
import { probabilitiesOf, writeTokens } from "./write.ts";

let engine: Engine | null = null;
let loadedModel = "";
let loadedWeights = "";

async function ready({ model, weights }: Subject): Promise<Engine> {
  engine ??= await createEngine({ preference: "auto", allowSoftwareGpu: false });
  const wanted = JSON.stringify(model);
  if (wanted !== loadedModel) {
    await engine.load(model, 1);
    loadedModel = wanted;
    loadedWeights = "";
  }
  if (weights.sha256 !== loadedWeights) {
    const bytes = await fetchBlob(weights);
    await engine.setWeights(new Float32Array(bytes.buffer));
    loadedWeights = weights.sha256;
  }
  return engine;
}

async function answer(question: Question, tell: (answer: Answer) => void): Promise<Answer> {
  switch (question.kind) {
    case "classify": {
      const device = await ready(question.subject);
      const from = performance.now();
      const logits = await device.logits(question.values, 1);
      return { kind: "classes", probabilities: probabilitiesOf(logits), tookMs: performance.now() - from, backend: device.device.backend };
    }
    case "write": {
      const { model } = question.subject;
      if (!readsText(model)) throw new Error("Only a text model writes.");
      const device = await ready(question.subject);
      const from = performance.now();
      await writeTokens({
        ...question,
        context: model.context,
        vocabulary: model.vocabulary,
        uniform: Math.random,
        logits: (window) => device.logits(window, 1),
        onToken: (token) => tell({ kind: "token", token }),
      });
      return { kind: "written", tokensPerSecond: (question.count * 1000) / (performance.now() - from), backend: device.device.backend };
    }
    case "held-out": {
      const blobs = { get: (sha256: string, sizeBytes: number) => fetchBlob({ sha256, sizeBytes }) };
      const { inputs, targets } = await datasetReader(question.manifest, blobs, "heldOut").images([question.index], 1);
      return { kind: "image", values: Float32Array.from(inputs), label: targets[0] ?? 0 };
    }
    default:
      throw question satisfies never;
  }
}

const send = (message: Answered): void => postMessage(message);
let queue = Promise.resolve();
self.onmessage = ({ data: { id, question } }: MessageEvent<Asked>) => {
  queue = queue.then(async () => {
    try {
      send({ id, answer: await answer(question, (part) => send({ id, answer: part })) });
    } catch (error) {
      send({ id, answer: { kind: "failed", message: error instanceof Error ? error.message : String(error) } });
    }
  });
};
