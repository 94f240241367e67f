// The volunteer's key in a real browser's storage: kept between visits, and where nothing can be kept, made anew for the tab.
import { verifySignature } from "@weft/ledger";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { browserIdentity } from "./identity-store.ts";

const forget = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase("weft");
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
beforeEach(forget);
afterEach(() => void vi.restoreAllMocks());

const full = (): never => {
  throw new DOMException("The storage is full.", "QuotaExceededError");
};

it("is the same at each visit", async () => {
  const { volunteer } = await browserIdentity();
  expect(volunteer).toMatch(/^[0-9a-f]{64}$/);
  expect((await browserIdentity()).volunteer).toBe(volunteer);
});

it.each([
  ["cannot take the key, being full", () => vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(full)],
  ["cannot be opened at all", () => vi.spyOn(indexedDB, "open").mockImplementation(full)],
])("is one that works, for this tab alone, where storage %s", async (_, spoil) => {
  spoil();
  const first = await browserIdentity();
  const signature = await first.sign("weft-hello-1", { nonce: "a" });
  expect(verifySignature(first.volunteer, "weft-hello-1", { nonce: "a" }, signature)).toBe(true);
  expect((await browserIdentity()).volunteer).not.toBe(first.volunteer);
  vi.restoreAllMocks();
  const kept = await browserIdentity();
  expect((await browserIdentity()).volunteer).toBe(kept.volunteer);
});
