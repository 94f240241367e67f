// Places are never over-taken, their line is bounded, and nobody who has gone keeps one; requests are counted for each address.
import { expect, test } from "vitest";
import { limitRequests, places } from "./cost-limits.ts";

const refusal = (code: string) => expect.objectContaining({ refusal: expect.objectContaining({ code, retryAfterMs: expect.any(Number) }) });

test("two have places, the third waits for one, the fifth is told to come again", async () => {
  const take = places(2, 2);
  const [first, second] = [await take(), await take()];
  const entered: string[] = [];
  const enter = async (name: string) => {
    const release = await take();
    entered.push(name);
    return release;
  };
  const [third, fourth] = [enter("third"), enter("fourth")];
  await expect(take()).rejects.toEqual(refusal("unavailable"));
  expect(entered).toEqual([]);
  first();
  first();
  const releaseThird = await third;
  expect(entered).toEqual(["third"]);
  second();
  releaseThird();
  (await fourth)();
  // All places are free again, and no more than there were.
  await take();
  await take();
  const waiting = new AbortController();
  const late = take(waiting.signal);
  waiting.abort();
  await expect(late).rejects.toThrow("The caller has gone.");
});

test("whoever left the line is not given a place", async () => {
  const take = places(1, 1);
  const release = await take();
  const gone = new AbortController();
  const left = take(gone.signal);
  gone.abort();
  await expect(left).rejects.toThrow();
  const next = take();
  release();
  await next;
});

test("requests are counted for each address apart", async () => {
  const count = limitRequests(3);
  for (let time = 0; time < 3; time += 1) await count("10.0.0.1");
  await expect(count("10.0.0.1")).rejects.toEqual(refusal("rate-limited"));
  await count("10.0.0.2");
});
