// A volunteer of bench `homeline` in a process of its own: the state machine, encoder, socket and downloads that people run, with a device
// that takes its time and changes every value, and computes nothing.
import { createHash } from "node:crypto";
import { createIdentity } from "@weft/ledger";
import { randomStream, samplesIn } from "@weft/tensors";
import { syntheticData } from "@weft/testkit/swarm";
import { httpBlobs, socketTransport, spentAt, systemClock, Volunteer, type VolunteerEngine } from "@weft/volunteer";
import { io } from "socket.io-client";
import { answerOrders } from "../../support/child-processes.ts";
import type { Answer, Order, VolunteerOrder, VolunteerReport } from "./home.ts";

/** Normal values, laid out again and again from another place: a prime number of them, so that no two blocks of an update are alike. */
const NORMALS = 65_537;

interface Device {
  readonly engine: VolunteerEngine;
  busy(): Pick<VolunteerReport, "deviceMs" | "plannedMs">;
}
function timedDevice({ parameters, samplesPerSecond, seed }: VolunteerOrder): Device {
  const random = randomStream(seed, parameters);
  const normals = Float32Array.from({ length: NORMALS }, () => random.normal() * 0.02);
  let [deviceMs, plannedMs] = [0, 0];
  let leases = 0;
  const updateOf = (lease: number): Float32Array => {
    const update = new Float32Array(parameters);
    let place = (lease * 7_919) % NORMALS;
    for (let at = 0; at < parameters; at++) {
      update[at] = normals[place] as number;
      place = place + 1 === NORMALS ? 0 : place + 1;
    }
    return update;
  };
  const engine: VolunteerEngine = {
    device: { backend: "synthetic", description: "takes its time, computes nothing", software: true },
    selfTest: async () => ({ passed: true, relativeError: 0, detail: "Nothing is computed." }),
    load: async () => undefined,
    async setWeights(flat) {
      if (flat.length !== parameters) throw new Error(`the model has ${parameters} parameters, the weights ${flat.length}`);
    },
    step: () => Promise.reject(new Error("this device takes local steps only")),
    async localSteps({ steps }, batchesOf) {
      let samples = 0;
      for (let step = 0; step < steps; step++) {
        const batches = await batchesOf(step);
        if (batches === null) return null;
        const rows = samplesIn(batches);
        const stepMs = (1_000 * rows) / samplesPerSecond;
        const beganMs = performance.now();
        await systemClock.sleep(stepMs);
        deviceMs += performance.now() - beganMs;
        plannedMs += stepMs;
        samples += rows;
      }
      leases += 1;
      return { update: updateOf(leases), lossSum: samples, samples };
    },
    dispose: () => undefined,
  };
  return { engine, busy: () => ({ deviceMs, plannedMs }) };
}

function begin(order: VolunteerOrder): () => VolunteerReport {
  const { publicKey, sign } = createIdentity(createHash("sha256").update(`homeline ${order.seed}`).digest());
  const { engine, busy } = timedDevice(order);
  const volunteer = new Volunteer({
    identity: { volunteer: publicKey, sign: async (domain, value) => sign(domain, value) },
    createEngine: async () => engine,
    data: () => syntheticData,
    blobs: httpBlobs(order.url),
    hash: async (bytes) => createHash("sha256").update(bytes).digest("hex"),
    clock: systemClock,
    transport: socketTransport(order.url, io),
    origin: order.origin,
    seed: order.seed,
  });
  volunteer.start(order.run);
  return () => {
    const snapshot = volunteer.snapshot();
    const { admitted, refused, bytesUp, weights } = snapshot;
    const atMs = systemClock.now();
    return { atMs, spentMs: spentAt(snapshot, atMs), ...busy(), admitted, refused, bytesUp, weights };
  };
}

let report: (() => VolunteerReport) | null = null;
answerOrders<Order, Answer>(async (order) => {
  if (order.kind === "begin") {
    report = begin(order.volunteer);
    return { kind: "begun" };
  }
  if (report === null) throw new Error("a report needs a volunteer");
  return { kind: "report", ...report() };
});
