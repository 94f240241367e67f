import { expect, it } from "vitest";
import { tokenOf } from "./session.ts";

it("a token is read from the fragment alone, and only a plausible one", () => {
  expect(tokenOf("#token=abc-123")).toBe("abc-123");
  expect(tokenOf("")).toBeNull();
  expect(tokenOf("#token=")).toBeNull();
  expect(tokenOf("#other=1")).toBeNull();
  expect(tokenOf(`#token=${"a".repeat(201)}`)).toBeNull();
});
