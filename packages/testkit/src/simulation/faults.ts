// What may go wrong in a simulation, by name, so that a failing seed can be tried with each of them switched off. Knows not when or how.

/** Each with a sentence for whoever reads a failing seed. */
export const FAULTS = {
  // messages
  drop: "Messages are lost: requests, answers and notices.",
  delay: "Messages take long, up to many seconds.",
  reorder: "Messages overtake one another.",
  duplicate: "Messages arrive twice.",
  cut: "Connections break, at either end unnoticed for up to a heartbeat.",
  // volunteers that speak for themselves, without the real state machine
  "old-base": "Answers come very late, to versions that are past.",
  "answer-twice": "The same answer is sent again, and another for the same lease.",
  "answer-others": "Somebody answers leases that were given to others.",
  garbage: "Uploads that stop half-way, have the wrong hash, the wrong length or no meaning.",
  // the coordinator and its machine
  kill: "The coordinator's process is killed.",
  "power-cut": "The coordinator's machine loses power, and with it what was not synced.",
  "clean-restart": "The coordinator is stopped in order and started again.",
  "clock-jump": "Wall clocks are set forward and back by up to two hours.",
  "slow-disk": "The disk takes up to seconds for an operation.",
  "full-disk": "The disk is full, or read-only, for a while.",
  "failed-sync": "A sync fails: what the disk holds is unknown until the coordinator is started again.",
  "half-sent": "The coordinator ends while uploads of two chunks are half sent; afterwards they go on by chunk.",
  stall: "The coordinator's event loop stands still for seconds.",
  // tabs
  vanish: "Tabs are closed without a word, for good.",
  reload: "Tabs are reloaded, with or without a goodbye.",
  hidden: "Tabs are hidden, and their timers fire once a second.",
  frozen: "Tabs are frozen and thawed.",
  asleep: "Laptops sleep, past the deadline and up to an hour.",
  "device-lost": "A GPU device is lost in the middle of a lease.",
  "change-device": "After its loss the next device is another: WASM in place of WebGPU.",
  "two-tabs": "Two tabs speak for one identity.",
  quota: "The browser's storage is full: no blob is kept, and a reload has a new identity.",
  moody: "People pause, resume, throttle, rename and finish.",
  // whoever runs it
  pause: "An admin pauses and resumes the run.",
  "roll-back": "An admin rolls the run back to an earlier version.",
  block: "An admin blocks a volunteer, and unblocks it.",
  stop: "An admin stops the run for good.",
  "resume-from": "An admin makes a new run that goes on from a version of another, which may be stopped for it.",
  fork: "The same with another specification.",
  archive: "A run is archived as it runs, and goes on from the archive on another machine as well.",
} as const satisfies Record<string, string>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];
export const isFaultName = (name: string): name is FaultName => Object.hasOwn(FAULTS, name);
