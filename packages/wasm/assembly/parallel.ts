// What part of a kernel's work this instance does. Every thread calls the same kernel with the same arguments, each on an instance of its
// own over one memory, and computes some of the results. How they are divided never changes how one of them is computed: the bits are the
// same for any number of threads.

/** Waits until every thread has come here. */
@external("env", "meet")
declare function meetOthers(): void;

let part: i32 = 0, parts: i32 = 1;

/** Which part is this instance's from now on. */
export function takePart(index: i32, count: i32): void {
  part = index;
  parts = count;
}

/** Whether this is the part that does what only one may do. */
@inline
export function leads(): bool {
  return part == 0;
}

/** What any thread wrote before, all may read after. */
@inline
export function meet(): void {
  if (parts > 1) meetOthers();
}

function border(index: i32, count: i32, group: i32): i32 {
  const groups = (count + group - 1) / group;
  return min(count, <i32>((<i64>groups * index) / parts) * group);
}

/** The first of `count` results that is this part's; results stay together in groups of `group`. */
export function firstOf(count: i32, group: i32): i32 {
  return border(part, count, group);
}

/** The first after it that is not. */
export function endOf(count: i32, group: i32): i32 {
  return border(part + 1, count, group);
}

/** Where this part may work alone, of as many stretches of so many bytes as there are parts. */
export function ownScratch(scratch: usize, sizeBytes: i32): usize {
  return scratch + <usize>part * <usize>sizeBytes;
}

/** The values of a cache line: parts that share none do not wait for one another's writes. */
export const LINE: i32 = 16;
