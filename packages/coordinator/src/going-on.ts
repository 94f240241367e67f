// A new run out of a version of another: the same specification (resume), or a changed one that fits the weights (fork).
// Knows no ids and writes nothing.
import { canonicalJson } from "@weft/ledger";
import { layoutFor, parameterCount } from "@weft/models";
import { type ModelSpec, ok, type Result, type RunOrigin, refuse } from "@weft/protocol";
import type { Storage } from "@weft/storage";
import type { CoordinatorOptions } from "./api.ts";
import { type PreparedRun, prepareRun } from "./create-run.ts";
import { readManifest } from "./manifest.ts";
import type { FoundVersion } from "./versions.ts";

const originOf = ({ created, point, seq, head }: FoundVersion, change: RunOrigin["change"]): RunOrigin => {
  const { version, position, steps, optimizer, pending = [] } = point;
  const left = pending.length > 0 ? { pending: [...pending] } : {};
  return { change, run: created.run, version, seq, head, position, steps, ...left, optimizer };
};

/** Goes on bit for bit as the parent would have, under another name where one is given. */
export async function prepareResumed(
  found: FoundVersion,
  name: string | undefined,
  { blobs }: Pick<Storage, "blobs">,
): Promise<Result<PreparedRun>> {
  const { created, point } = found;
  const spec = name === undefined ? created.spec : { ...created.spec, name };
  if (point.steps >= spec.training.versions)
    return refuse(
      "bad-command",
      `Version ${point.version} of run ${created.run} is the last that its specification asks for; a fork with more training.versions can go on.`,
    );
  const manifest = await readManifest(blobs, created.dataset);
  if (manifest === null) return refuse("damaged", `The data set's manifest of run ${created.run} is gone or is not a manifest.`);
  const { dataset, parameters, clients } = created;
  const dealt = clients === undefined ? {} : { clients };
  return ok({ spec, manifest, dataset, parameters, ...dealt, first: { weights: point.weights, origin: originOf(found, "resume") } });
}

/**
 * Begins with the parent's weights. Another kind of outer optimiser begins without a state; another data set, sampler or seed is another
 * sample stream, of which nothing is counted yet: position and steps begin at 0, and with the steps the schedule. So is another mode, where the
 * version left positions behind that were given out and not counted: a fixed batch could not make up for them.
 */
export async function prepareForked(
  found: FoundVersion,
  spec: unknown,
  datasets: CoordinatorOptions["datasets"],
): Promise<Result<PreparedRun>> {
  const prepared = await prepareRun(spec, datasets);
  if (!prepared.ok) return prepared;
  const { created, point } = found;
  const { value } = prepared;
  const misfit = layoutMisfit(created.spec.model, value.spec.model);
  if (misfit !== null) return refuse("bad-spec", `model does not fit the weights of run ${created.run}: ${misfit}`);
  const sameStream =
    value.dataset.sha256 === created.dataset.sha256 &&
    value.spec.seed === created.spec.seed &&
    canonicalJson(value.spec.sampler) === canonicalJson(created.spec.sampler) &&
    (point.pending === undefined || value.spec.training.mode === created.spec.training.mode);
  const sameOptimizer = value.spec.training.optimizer.kind === created.spec.training.optimizer.kind;
  const { pending, ...named } = originOf(found, "fork");
  const origin: RunOrigin = {
    ...named,
    ...(sameStream ? (pending === undefined ? {} : { pending }) : { position: 0, steps: 0 }),
    ...(sameOptimizer ? {} : { optimizer: null }),
  };
  if (origin.steps >= value.spec.training.versions)
    return refuse(
      "bad-spec",
      `training.versions is ${value.spec.training.versions}, but version ${point.version} has ${origin.steps} steps behind it; for example ${2 * origin.steps}.`,
    );
  return ok({ ...value, first: { weights: point.weights, origin } });
}

/** Null where both models have the same parameters in the same order and shapes. */
function layoutMisfit(before: ModelSpec, after: ModelSpec): string | null {
  const named = (model: ModelSpec): string[] => layoutFor(model).parameters.map(({ name, shape }) => `${name} [${shape.join(", ")}]`);
  const [old, fresh] = [named(before), named(after)];
  const at = old.findIndex((entry, index) => entry !== fresh[index]);
  if (at < 0 && old.length === fresh.length) return null;
  const difference = at < 0 ? `${fresh[old.length]} is more than they have` : `${fresh[at] ?? "nothing"} stands where they have ${old[at]}`;
  return `it has ${parameterCount(after)} parameters, they have ${parameterCount(before)}; ${difference}.`;
}
