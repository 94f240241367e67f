// When things go wrong: every fault of the plan at times of its own, until it is calm. Each draws from a stream of its own, so that leaving
// one out changes nothing of when the others come.
import { Admin } from "./admin.ts";
import { type Dice, diceOf } from "./dice.ts";
import type { FaultName } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Fate, Weather } from "./line.ts";
import type { SimulationPlan } from "./plan.ts";
import type { Tab } from "./tab.ts";
import { START_MS } from "./trickster.ts";
import type { Witness } from "./witness.ts";

export interface StormOptions {
  readonly plan: SimulationPlan;
  readonly host: Host;
  readonly witness: Witness;
  /** The first is honest and stays: nothing befalls it but the network's faults. */
  readonly tabs: readonly Tab[];
  /** A second page for the identity of a tab. */
  readonly twin: (tab: number) => Tab;
  readonly told: (fault: FaultName) => void;
  /** A run goes on on another machine as well. */
  readonly archive: (dice: Dice) => void;
}

/** Mean time between two occurrences of a fault at intensity 1, in ms. */
const EVERY_MS: Readonly<Partial<Record<FaultName, number>>> = {
  kill: 12_000,
  "power-cut": 12_000,
  "clean-restart": 20_000,
  "clock-jump": 8_000,
  "full-disk": 15_000,
  "failed-sync": 20_000,
  stall: 8_000,
  pause: 15_000,
  "roll-back": 12_000,
  block: 12_000,
  stop: 25_000,
  "half-sent": 3_000,
  "resume-from": 12_000,
  fork: 12_000,
  archive: 8_000,
};
/** The same for one tab of many: the more tabs, the more often somewhere. */
const EVERY_MS_A_TAB: Readonly<Partial<Record<FaultName, number>>> = {
  vanish: 60_000,
  reload: 30_000,
  hidden: 30_000,
  frozen: 30_000,
  asleep: 40_000,
  "device-lost": 25_000,
  "two-tabs": 50_000,
  quota: 50_000,
  moody: 20_000,
};

/** What becomes of each message of one volunteer. */
export function weatherOf(plan: SimulationPlan, host: Host, purpose: string, told: (fault: FaultName) => void): Weather {
  const dice = diceOf(plan.seed, plan.size, "weather", purpose);
  const { faults, intensity } = plan;
  const usualMs = dice.scale(1, 60);
  const does = (fault: FaultName, probability: number): boolean => {
    if (!faults.has(fault) || dice.next() >= probability * intensity) return false;
    told(fault);
    return true;
  };
  const calm: Fate = { copies: 1, delayMs: usualMs, overtakes: false };
  return () => {
    if (host.clock.monotonicMs() - START_MS >= plan.calmAtMs) return calm;
    if (does("cut", 0.004)) return "cut";
    if (does("drop", 0.008)) return { copies: 0, delayMs: 0, overtakes: false };
    const delayMs = usualMs * dice.between(0.5, 2) + (does("delay", 0.01) ? dice.scale(50, 20_000) : 0);
    return { copies: does("duplicate", 0.02) ? 2 : 1, delayMs, overtakes: does("reorder", 0.05) };
  };
}

export class Storm {
  readonly #options: StormOptions;
  readonly #endMs: number;
  readonly #admin: Admin;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#endMs = START_MS + options.plan.calmAtMs;
    this.#admin = new Admin(options);
  }

  /** Nobody commands any more. */
  end(): void {
    this.#admin.end();
  }

  /** What an admin ordered may still come to be. */
  get isAsking(): boolean {
    return this.#admin.isAsking;
  }

  begin(): void {
    const { plan, host, tabs } = this.#options;
    if (plan.faults.has("slow-disk")) this.#slowDisk();
    else host.diskDelayMs = this.#usualDisk();
    for (const [fault, everyMs] of Object.entries(EVERY_MS) as [FaultName, number][])
      this.#again(fault, everyMs, diceOf(plan.seed, plan.size, fault), (dice) => this.#befallHost(fault, dice));
    for (const [fault, everyMs] of Object.entries(EVERY_MS_A_TAB) as [FaultName, number][])
      for (const [index, tab] of tabs.entries())
        if (index > 0)
          this.#again(fault, everyMs, diceOf(plan.seed, plan.size, fault, index), (dice) => this.#befallTab(fault, dice, tab, index));
    this.#later(plan.calmAtMs, () => this.#calm());
  }

  #again(fault: FaultName, everyMs: number, dice: Dice, befall: (dice: Dice) => void): void {
    const { plan, host, told } = this.#options;
    if (!plan.faults.has(fault)) return;
    const waitMs = (-Math.log(1 - dice.next()) * everyMs) / plan.intensity;
    this.#later(waitMs, () => {
      if (host.clock.monotonicMs() >= this.#endMs) return;
      told(fault);
      befall(dice);
      this.#again(fault, everyMs, dice, befall);
    });
  }
  #later(ms: number, then: () => void): void {
    this.#options.host.clock.after(ms, then);
  }

  #usualDisk(): Host["diskDelayMs"] {
    const { plan } = this.#options;
    const dice = diceOf(plan.seed, plan.size, "disk");
    const syncMs = dice.pick([0, 1, 5]);
    return (action) => (action === "sync" && syncMs > 0 ? dice.between(0.5, 2) * syncMs : 0);
  }
  #slowDisk(): void {
    const { plan, host, told } = this.#options;
    const usual = this.#usualDisk();
    const dice = diceOf(plan.seed, plan.size, "slow-disk");
    host.diskDelayMs = (action) => {
      if (host.clock.monotonicMs() >= this.#endMs) return usual(action);
      if (action === "read" || !dice.chance(0.05 * plan.intensity)) return usual(action);
      told("slow-disk");
      return dice.scale(5, action === "sync" ? 3_000 : 100);
    };
  }

  #befallHost(fault: FaultName, dice: Dice): void {
    const { host } = this.#options;
    switch (fault) {
      case "kill":
      case "power-cut":
        // Between two changes of the disk, wherever the next ones are; or just now, whatever is under way.
        if (dice.chance(0.7)) host.crashAfter(dice.whole(1, 40), fault === "kill" ? "killed" : "power-cut");
        else host.end(fault === "kill" ? "killed" : "power-cut");
        return;
      case "clean-restart":
        void host.stopInOrder(dice.scale(100, 10_000));
        return;
      case "clock-jump":
        host.stepWall(dice.pick([-1, 1]) * dice.scale(100, 7_200_000));
        for (const tab of this.#options.tabs) if (dice.chance(0.3)) tab.stepWall(dice.pick([-1, 1]) * dice.scale(100, 7_200_000));
        return;
      case "full-disk":
        host.diskFault = dice.pick(["full", "read-only"]);
        this.#later(dice.scale(500, 10_000), () => {
          host.diskFault = null;
        });
        return;
      case "failed-sync":
        host.diskFault = "sync-once";
        // Whoever runs it reads the message, and starts it again.
        this.#later(dice.between(1_000, 8_000), () => {
          host.diskFault = null;
          host.end("killed");
        });
        return;
      case "stall":
        host.stall(dice.scale(100, 10_000));
        return;
      case "half-sent":
        host.crashAtHalf(dice.chance(0.7) ? "killed" : "power-cut");
        return;
      case "archive":
        this.#options.archive(dice);
        return;
      default:
        this.#admin.befall(fault, dice);
    }
  }

  #befallTab(fault: FaultName, dice: Dice, tab: Tab, index: number): void {
    const shortMs = dice.scale(200, 30_000);
    switch (fault) {
      case "vanish":
        // Some come back, others do not.
        tab.vanish();
        if (dice.chance(0.5)) this.#later(dice.scale(1_000, 3_600_000), () => tab.open());
        return;
      case "reload":
        if (dice.chance(0.5)) tab.close();
        else tab.vanish();
        this.#later(dice.scale(100, 5_000), () => tab.open());
        return;
      case "hidden":
        tab.hide(true);
        this.#later(shortMs, () => tab.hide(false));
        return;
      case "frozen":
        tab.freeze(dice.chance(0.7));
        this.#later(shortMs, () => tab.thaw(false));
        return;
      case "asleep": {
        const stoodStill = dice.chance(0.5);
        tab.freeze(false);
        this.#later(dice.scale(2_000, 3_600_000), () => tab.thaw(stoodStill));
        return;
      }
      case "device-lost": {
        const isOther = this.#options.plan.faults.has("change-device") && dice.chance(0.5);
        if (isOther) this.#options.told("change-device");
        tab.loseDevice(isOther ? "wasm" : "webgpu");
        return;
      }
      case "two-tabs": {
        const twin = this.#options.twin(index);
        twin.open();
        this.#later(dice.scale(1_000, 15_000), () => (dice.chance(0.5) ? twin.vanish() : twin.close()));
        return;
      }
      case "quota":
        tab.fillStore(true);
        if (dice.chance(0.5)) {
          tab.vanish();
          this.#later(500, () => tab.open());
        }
        this.#later(shortMs, () => tab.fillStore(false));
        return;
      case "moody":
        this.#moody(dice, tab);
        return;
    }
  }

  #moody(dice: Dice, tab: Tab): void {
    const { volunteer } = tab;
    if (volunteer === null || tab.isFrozen) return;
    switch (dice.whole(0, 4)) {
      case 0:
        volunteer.pause(dice.chance(0.5) ? null : volunteer.snapshot().startedAtMs);
        this.#later(dice.scale(200, 10_000), () => tab.run(() => volunteer.resume()));
        return;
      case 1:
        volunteer.setEffort(dice.between(0.1, 1));
        return;
      case 2:
        volunteer.setName(dice.pick([null, "Ada", "Zoë", "林"]));
        return;
      case 3:
        volunteer.finish();
        this.#later(dice.scale(500, 10_000), () => tab.run(() => volunteer.start()));
        return;
      default:
        volunteer.hold("battery");
        this.#later(dice.scale(200, 10_000), () => tab.run(() => volunteer.unhold("battery")));
    }
  }

  /** Nothing more goes wrong; what was taken away by hand is given back by hand. */
  #calm(): void {
    const { host, tabs } = this.#options;
    host.disarm();
    host.diskFault = null;
    for (const tab of tabs) tab.hide(false);
  }
}
