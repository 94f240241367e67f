// What pages say of runs, licences, models and people. Reads views only.
import type { ModelSpec, OptimizerSpec, RunPhase, RunSummary, ScheduleSpec, VolunteerView } from "@weft/protocol";
import { count, loss, percent, plural, small } from "./figures.ts";
import { troubleWords } from "./trouble-words.ts";

/** SPDX identifiers as people write them. */
export function licence(spdx: string): string {
  if (spdx === "LicenseRef-PublicDomain") return "public domain";
  return spdx.startsWith("CC-") ? spdx.replaceAll("-", " ").replace("CC BY SA", "CC BY-SA") : spdx;
}

/** Does the run's quality read as a share of right answers? Text models are told by their loss. */
export const isClassifier = (run: Pick<RunSummary, "model">): boolean => !/^(?:gpt|lstm)\b/i.test(run.model);

/** A run's model in few words; its parameters are told beside it. */
export const modelName = (run: Pick<RunSummary, "model">): string => run.model.replace(/, [\d,]+ parameters$/, "");

/** The one figure of a run's quality on data it never trains on; null before the first evaluation. */
export function quality(run: Pick<RunSummary, "model" | "accuracy" | "heldOutLoss">): { value: string; unit: string } | null {
  if (isClassifier(run) && run.accuracy !== null) return { value: percent(run.accuracy), unit: "right" };
  return run.heldOutLoss === null ? null : { value: loss(run.heldOutLoss), unit: "loss" };
}

export type StateShape = "live" | "wait" | "held" | "done" | "fault";
/** A shape and a word, as every state is shown. */
export function runState(run: Pick<RunSummary, "phase" | "volunteersNow" | "version" | "trouble">): { shape: StateShape; word: string } {
  if (run.trouble !== null && !phaseEnded(run.phase)) return { shape: "fault", word: troubleWords(run.trouble).word };
  switch (run.phase) {
    case "running":
      if (run.volunteersNow > 0) return { shape: "live", word: "collecting" };
      return { shape: "wait", word: run.version === 0 ? "waiting for its first volunteer" : "waiting for volunteers" };
    case "paused":
      return { shape: "held", word: "paused" };
    case "stopped":
      return { shape: "done", word: "stopped" };
    case "finished":
      return { shape: "done", word: "finished" };
    default:
      return run.phase satisfies never;
  }
}

export const people = (value: number): string => plural(value, "person", "people");

export const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** A sentence without its full stop, so that it can go on. */
export const unstopped = (text: string): string => text.trim().replace(/\.$/, "");

/** The key of a volunteer without a name: `b3e·91b0`. */
export const shortVolunteer = (volunteer: string): string => `${volunteer.slice(0, 3)}·${volunteer.slice(3, 7)}`;
export const nameOf = (view: Pick<VolunteerView, "name" | "volunteer">): string => view.name ?? shortVolunteer(view.volunteer);

export function modelWords(model: ModelSpec): string {
  switch (model.kind) {
    case "mlp":
      return ["mlp", model.inputs, ...model.hidden, model.classes].join(", ");
    case "cnn":
      return `cnn, ${model.channels.join(" and ")} channels of ${model.kernel} × ${model.kernel}, then ${model.hidden}`;
    case "gpt":
      return `gpt, ${plural(model.layers, "layer")}, ${plural(model.heads, "head")}, width ${model.width}`;
    case "lstm":
      return `lstm, ${plural(model.layers, "layer")}, width ${model.hidden}`;
    default:
      return model satisfies never;
  }
}
export function inputWords(model: ModelSpec): string {
  switch (model.kind) {
    case "mlp":
      return `${count(model.inputs)} values`;
    case "cnn":
      return `${model.height} × ${model.width} × ${model.inChannels}`;
    case "gpt":
    case "lstm":
      return `${model.context} characters of ${model.vocabulary}`;
    default:
      return model satisfies never;
  }
}
export const optimizerWords = (optimizer: OptimizerSpec): string =>
  optimizer.kind === "sgd"
    ? `SGD, ${small(optimizer.learningRate)}, momentum ${optimizer.momentum}`
    : `AdamW, ${small(optimizer.learningRate)}`;
export const scheduleWords = (schedule: ScheduleSpec): string => {
  const unit = schedule.by === "samples" ? "sample" : "version";
  const warmup = schedule.by === "samples" ? schedule.warmupSamples : schedule.warmupVersions;
  return [shapeWords(schedule), ...(warmup > 0 ? [`${plural(warmup, unit)} of warm-up`] : [])].join(", ");
};
function shapeWords(schedule: ScheduleSpec): string {
  switch (schedule.kind) {
    case "constant":
      return "constant";
    case "cosine":
    case "linear": {
      const end = schedule.by === "samples" ? ` over ${plural(schedule.samples, "sample")}` : "";
      return `${schedule.kind} to ${percent(schedule.finalFraction, 0)}${end}`;
    }
    case "step": {
      const places = schedule.milestones.map((place) => count(place)).join(", ");
      return `times ${small(schedule.factor)} at ${schedule.by === "samples" ? "samples" : "versions"} ${places}`;
    }
    default:
      return schedule satisfies never;
  }
}

export const phaseEnded = (phase: RunPhase): boolean => phase === "stopped" || phase === "finished";
