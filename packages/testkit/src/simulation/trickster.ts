// A volunteer without the real state machine: it answers late, twice, for others, half and wrongly, straight to the coordinator's sessions.
// Honest in between, so that it is established. Knows what others hold, as somebody who listens would.
import { type Assignment, CHUNK_BYTES, encodeFrame, leaseNumber } from "@weft/protocol";
import { codecNamed, f32FromBytes } from "@weft/tensors";
import { type PreparedContribution, ScriptedVolunteer } from "../scripted-volunteer.ts";
import type { Dice } from "./dice.ts";
import type { FaultName } from "./faults.ts";
import type { Host } from "./host.ts";
import type { SimulationPlan } from "./plan.ts";
import { stubIdentity } from "./stub-identity.ts";
import { addToyGradient } from "./toy-engine.ts";
import type { Witness } from "./witness.ts";

type Trick = "work" | "old-base" | "answer-twice" | "answer-others" | "garbage" | "leave" | "release";

const NEVER: ReadonlySet<FaultName> = new Set();

export class Trickster {
  readonly #host: Host;
  readonly #witness: Witness;
  readonly #dice: Dice;
  readonly #plan: SimulationPlan;
  readonly #self: ScriptedVolunteer;
  readonly #tricks: readonly Trick[];
  readonly #counted: () => void;
  readonly #told: (fault: FaultName) => void;
  #life = -1;
  readonly #kept: { readonly assignment: Assignment; readonly contribution: PreparedContribution | null }[] = [];

  constructor(options: {
    readonly host: Host;
    readonly witness: Witness;
    readonly dice: Dice;
    readonly plan: SimulationPlan;
    readonly name: string;
    readonly counted: () => void;
    readonly told: (fault: FaultName) => void;
  }) {
    this.#host = options.host;
    this.#witness = options.witness;
    this.#dice = options.dice;
    this.#plan = options.plan;
    this.#counted = options.counted;
    this.#told = options.told;
    this.#self = new ScriptedVolunteer(stubIdentity(options.name), "198.51.100.7");
    const { faults } = options.plan;
    const tricks: Trick[] = ["work", "work", "release", "leave"];
    for (const trick of ["old-base", "answer-twice", "answer-others", "garbage"] as const) if (faults.has(trick)) tricks.push(trick, trick);
    this.#tricks = tricks;
  }

  /** Plays until the storm is over, then is gone without a word. */
  async play(): Promise<void> {
    const { clock } = this.#host;
    while (clock.monotonicMs() < this.#plan.calmAtMs + START_MS) {
      await clock.sleep(this.#dice.scale(40, 4_000) / this.#plan.intensity);
      if (!(await this.#isConnected())) continue;
      const trick = this.#dice.pick(this.#tricks);
      if ((trick === "old-base" || trick === "answer-twice" || trick === "answer-others" || trick === "garbage") && !NEVER.has(trick))
        this.#told(trick);
      await this.#do(trick);
    }
    if (this.#life === this.#host.ends && this.#host.listener !== null) this.#self.disconnect();
  }

  async #isConnected(): Promise<boolean> {
    const { listener } = this.#host;
    if (listener === null) return false;
    if (this.#life === this.#host.ends && this.#self.closed === 0) return true;
    this.#self.closed = 0;
    this.#self.challenges.length = 0;
    this.#self.connect(listener);
    this.#life = this.#host.ends;
    this.#counted();
    const reply = await this.#self.hello();
    if (!reply.ok) this.#self.disconnect();
    if (!reply.ok) this.#life = -1;
    return reply.ok;
  }

  async #do(trick: Trick): Promise<void> {
    switch (trick) {
      case "work": {
        const assignment = await this.#lease();
        if (assignment !== null) await this.#answer(assignment);
        return;
      }
      case "release": {
        const assignment = await this.#lease();
        if (assignment === null) return;
        const { run, lease, attempt } = assignment;
        await this.#say("release", { run, lease, attempt });
        return;
      }
      case "leave":
        if (this.#dice.chance(0.3)) await this.#say("leave", { reason: "goodbye" });
        this.#self.disconnect();
        this.#life = -1;
        return;
      case "old-base": {
        const late = this.#kept.shift();
        const assignment = await this.#lease();
        if (assignment !== null) this.#kept.push({ assignment, contribution: null });
        if (late !== undefined) await this.#answer(late.assignment);
        return;
      }
      case "answer-twice":
        await this.#answerTwice();
        return;
      case "answer-others":
        await this.#answerOthers();
        return;
      case "garbage":
        await this.#garbage();
        return;
      default:
        trick satisfies never;
    }
  }

  #say(event: string, message: unknown) {
    this.#counted();
    return this.#self.say<unknown>(event, message);
  }

  async #lease(): Promise<Assignment | null> {
    this.#counted();
    const reply = await this.#self.requestLease(null, this.#plan.isFixed ? null : this.#dice.scale(1, 50));
    return reply.ok && reply.value.kind === "lease" ? reply.value.assignment : null;
  }

  async #contribution(
    assignment: Assignment,
    lies: Parameters<ScriptedVolunteer["contribution"]>[1] = {},
  ): Promise<PreparedContribution | null> {
    const bytes = await this.#host.blob(assignment.weights.sha256).catch(() => null);
    const codec = codecNamed(assignment.codec);
    if (bytes === null || codec === undefined) return null;
    const weights = f32FromBytes(bytes);
    const mean = new Float32Array(weights.length);
    for (let row = 0; row < assignment.samples; row += 1) addToyGradient(mean, weights, assignment.start + row);
    for (let at = 0; at < mean.length; at += 1) mean[at] = (mean[at] as number) / assignment.samples;
    const encoded = codec.encode(mean, { seed: 1, lease: leaseNumber(assignment.lease) });
    return encoded.ok ? this.#self.contributionOf(assignment, encoded.bytes, lies) : null;
  }

  async #upload(contribution: PreparedContribution): Promise<boolean> {
    this.#counted();
    this.#counted();
    const reply = await this.#self.upload(contribution);
    return reply.ok && reply.value.kind === "admitted";
  }

  async #answer(assignment: Assignment): Promise<PreparedContribution | null> {
    const contribution = await this.#contribution(assignment);
    return contribution !== null && (await this.#upload(contribution)) ? contribution : null;
  }

  async #answerTwice(): Promise<void> {
    const before = this.#kept.find(({ contribution }) => contribution !== null)?.contribution ?? null;
    if (before !== null) await this.#upload(before);
    const assignment = await this.#lease();
    if (assignment === null) return;
    const contribution = await this.#answer(assignment);
    // In fixed runs only what cannot count may be other than honest.
    if (contribution === null) return;
    this.#kept.unshift({ assignment, contribution });
    if (this.#kept.length > 6) this.#kept.pop();
    await this.#upload(contribution);
    const other = contribution.bytes.slice();
    other[0] = (other[0] ?? 0) ^ 1;
    await this.#upload(this.#self.contributionOf(assignment, other));
  }

  async #answerOthers(): Promise<void> {
    const mine = await this.#lease();
    if (mine === null) return;
    const book = this.#witness.ledgers.get(mine.run)?.book;
    const others = book?.liveAssignments().filter(({ volunteer }) => volunteer !== this.#self.key) ?? [];
    if (book !== undefined && others.length > 0) {
      const { lease, attempt, volunteer } = this.#dice.pick(others);
      const work = book.leaseOf(lease);
      if (work !== undefined) {
        const lies = this.#dice.chance(0.5) ? {} : { volunteer };
        const contribution = await this.#contribution({ ...mine, lease, attempt, start: work.start, samples: work.samples }, lies);
        if (contribution !== null) await this.#upload(contribution);
      }
    }
    if (this.#dice.chance(0.5)) await this.#answer(mine);
  }

  async #garbage(): Promise<void> {
    const assignment = await this.#lease();
    if (assignment === null) return;
    const { run, lease, attempt } = assignment;
    const what = this.#dice.whole(0, 6);
    if (what === 0) {
      await this.#say("chunk", encodeFrame({ run, lease, attempt, index: 0 }, new Uint8Array(10)));
      return;
    }
    if (what === 1) {
      await this.#say("contribution", { header: { run, lease }, signature: "none" });
      return;
    }
    const lies =
      [{}, { sha256: "a".repeat(64) }, { samples: assignment.samples + 1 }, { base: "f".repeat(64) }, { sizeBytes: CHUNK_BYTES + 1 }][
        what - 2
      ] ?? {};
    const contribution = await this.#contribution(assignment, lies);
    if (contribution === null) return;
    this.#counted();
    const opened = await this.#self.open(contribution);
    // Half of an upload, and then nothing.
    if (!opened.ok || what === 2) return;
    this.#counted();
    await this.#self.chunk(contribution, this.#dice.whole(0, 1));
  }
}

/** Where the simulation's clock begins. */
export const START_MS = 1_700_000_000_000;
