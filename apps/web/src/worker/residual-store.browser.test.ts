// What biased codecs keep, in a real browser's storage: between visits, of the newest runs alone, and nowhere where nothing can be kept.
import { beforeEach, expect, it, vi } from "vitest";
import { browserResiduals } from "./residual-store.ts";

beforeEach(
  () =>
    new Promise<void>((resolve, reject) => {
      const request = indexedDB.deleteDatabase("weft-residuals");
      request.onsuccess = () => resolve();
      request.onblocked = () => resolve();
      request.onerror = () => reject(request.error);
    }),
);

it("is there at the next visit, until it is deleted; of more than two runs the oldest goes", async () => {
  const now = vi.spyOn(Date, "now");
  const first = browserResiduals();
  for (const [index, run] of ["one", "two", "three"].entries()) {
    now.mockReturnValue(1_000 + index);
    await first.set(run, Uint8Array.of(index, 7));
  }
  const next = browserResiduals();
  expect(await next.get("one")).toBeNull();
  expect(await next.get("two")).toEqual(Uint8Array.of(1, 7));
  await next.delete("three");
  expect(await browserResiduals().get("three")).toBeNull();
  now.mockRestore();
});

it("keeps nothing, and fails nobody, where the browser has no storage", async () => {
  const refusing = {
    open: () => {
      throw new Error("denied");
    },
  } as unknown as IDBFactory;
  for (const store of [browserResiduals(null), browserResiduals(refusing)]) {
    await store.set("one", Uint8Array.of(1));
    await store.delete("two");
    expect(await store.get("one")).toBeNull();
  }
});
