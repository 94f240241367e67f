// A run that tests audit: trained in this process by scripted volunteers, with volunteers that vanish, leases given again and uneven leases.
import { createHash, createPublicKey, verify as verifyBytes } from "node:crypto";
import { appendRecords, emptyHead, type SignHead, sha256, signedMessage } from "@weft/ledger";
import type { DatasetManifest, LedgerEvent, LedgerRecord, RunSpec, RunSpecOf } from "@weft/protocol";
import { ScriptedVolunteer, TestCoordinator, TINY_IMAGES, TINY_SPEC, trainToTheEnd, unwrap } from "@weft/testkit";
import { type MakeHash, type RunSource, storageSource } from "../src/index.ts";

/** The tiny data set with shards that exist. */
const TRAIN = Uint8Array.from({ length: 200 }, (_, at) => at % 17);
const HELD_OUT = Uint8Array.from({ length: 50 }, (_, at) => at % 5);
export const REAL_IMAGES: DatasetManifest = {
  ...TINY_IMAGES,
  train: [{ sha256: sha256(TRAIN), sizeBytes: TRAIN.length, samples: 40 }],
  heldOut: [{ sha256: sha256(HELD_OUT), sizeBytes: HELD_OUT.length, samples: 10 }],
};

/** Nine versions of 14 samples in leases that do not divide them: three epochs of 40 and six samples of a fourth. */
export const AUDITED_SPEC: RunSpecOf<"gradient"> = {
  ...TINY_SPEC,
  name: "audited",
  training: { ...TINY_SPEC.training, versions: 9, samplesPerVersion: 14, codec: "int8" },
  retention: { contributions: "all" },
};

export interface AuditedRun {
  readonly kit: TestCoordinator;
  readonly run: string;
  readonly source: RunSource;
  readonly records: readonly LedgerRecord[];
  readonly people: readonly ScriptedVolunteer[];
}

type Script = (kit: TestCoordinator, people: readonly ScriptedVolunteer[]) => Promise<void>;
const nothing: Script = () => Promise.resolve();

/** A run that `script` brings somewhere. */
export async function startAudited(spec: Partial<RunSpec> = {}, volunteers = 3, script = nothing): Promise<AuditedRun> {
  const kit = await TestCoordinator.start({ datasets: [REAL_IMAGES] });
  for (const bytes of [TRAIN, HELD_OUT]) await kit.storage.blobs.put(bytes);
  const run = await kit.createRun({ ...AUDITED_SPEC, ...spec });
  const people = Array.from({ length: volunteers }, (_, index) => new ScriptedVolunteer(index + 1, `192.0.2.${index + 1}`));
  for (const volunteer of people) await volunteer.join(kit.coordinator);
  await script(kit, people);
  return { kit, run, people, source: storageSource(kit.storage, run), records: await kit.records(run) };
}

/** Somebody takes a lease and lets it expire, another gives one back; then the run is trained to its end. */
export const auditedRun = (spec: Partial<RunSpec> = {}): Promise<AuditedRun> =>
  startAudited(spec, 3, async (kit, people) => {
    const [anna, ben] = people as [ScriptedVolunteer, ScriptedVolunteer];
    await anna.lease(null, 3);
    await kit.pass(40_000);
    const { run, lease, attempt } = await ben.lease(null, 5);
    unwrap(await ben.say("release", { run, lease, attempt }));
    await trainToTheEnd(kit, people);
  });

/** The records changed as a dishonest coordinator could: chained and signed anew. */
export function forged(
  records: readonly LedgerRecord[],
  sign: SignHead,
  change: (events: LedgerEvent[]) => readonly LedgerEvent[],
): LedgerRecord[] {
  const events = change(records.map(({ event }) => structuredClone(event)));
  const [first] = events;
  if (first?.type !== "run-created") throw new Error("a ledger begins with its run");
  return appendRecords(emptyHead(first.run), events, records[0]?.atMs ?? 0, sign);
}

/** The source with other records. */
export const withRecords = (source: RunSource, records: readonly unknown[]): RunSource => ({
  ...source,
  async *records(fromSeq = 0) {
    yield* records.slice(fromSeq);
  },
});

export const makeHash: MakeHash = () => {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
};

const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
/** The platform's hash and signatures, which the portable ones agree with: a test checks hundreds. */
export const FAST = {
  hash: (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex"),
  verify: (key: string, domain: string, value: unknown, signature: string): boolean => {
    const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, Buffer.from(key, "hex")]), format: "der", type: "spki" });
    return verifyBytes(null, signedMessage(domain, value), publicKey, Buffer.from(signature, "hex"));
  },
};
