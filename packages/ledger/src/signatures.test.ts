import { createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, sha256 } from "./hash.ts";
import { createIdentity, signedMessage, verifySignature } from "./signatures.ts";

const seed = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const alice = createIdentity(seed(1));

describe("signatures", () => {
  it("derive the public key of RFC 8032's first test vector from its seed", () => {
    const identity = createIdentity(fromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
    expect(identity.publicKey).toBe("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  });

  it("are accepted by an independent implementation over the documented bytes", () => {
    const value = { b: 1, a: "é" };
    const signature = alice.sign("weft-test-1", value);
    const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(alice.publicKey, "hex")]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    expect(verify(null, Buffer.from('weft-test-1\n{"a":"é","b":1}', "utf8"), key, Buffer.from(signature, "hex"))).toBe(true);
    expect(Buffer.from(signedMessage("weft-test-1", value)).toString()).toBe('weft-test-1\n{"a":"é","b":1}');
  });

  it("hold for the same value in another order of names, and for nothing else", () => {
    const signature = alice.sign("weft-test-1", { a: 1, b: 2 });
    expect(verifySignature(alice.publicKey, "weft-test-1", { b: 2, a: 1 }, signature)).toBe(true);
    expect(verifySignature(alice.publicKey, "weft-test-2", { a: 1, b: 2 }, signature)).toBe(false);
    expect(verifySignature(alice.publicKey, "weft-test-1", { a: 1, b: 3 }, signature)).toBe(false);
    expect(verifySignature(createIdentity(seed(2)).publicKey, "weft-test-1", { a: 1, b: 2 }, signature)).toBe(false);
  });

  it("fail for each flipped bit of the signature", () => {
    const signature = alice.sign("weft-test-1", 1);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
        const bytes = fromHex(signature);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(verifySignature(alice.publicKey, "weft-test-1", 1, Buffer.from(bytes).toString("hex"))).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  it("are false, never an exception, on garbage of any kind", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), fc.anything(), (key, domain, value, signature) => {
        expect(verifySignature(key as string, domain as string, value, signature as string)).toBe(false);
      }),
    );
    expect(verifySignature(alice.publicKey, "weft-test-1", undefined, "0".repeat(128))).toBe(false);
    expect(verifySignature("f".repeat(64), "weft-test-1", 1, "f".repeat(128))).toBe(false);
  });

  it("are never good under a key of small order, which would vouch for any message", () => {
    const identityPoint = `01${"0".repeat(62)}`;
    expect(verifySignature(identityPoint, "weft-test-1", 1, `01${"0".repeat(126)}`)).toBe(false);
  });

  it("come from seeds of 32 bytes only, and a drawn seed differs each time", () => {
    expect(() => createIdentity(new Uint8Array(31))).toThrow(RangeError);
    expect(createIdentity().publicKey).not.toBe(createIdentity().publicKey);
  });
});

describe("sha256", () => {
  it("gives FIPS 180-4's digest of abc, in one part or three", () => {
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(sha256(Buffer.from("abc"))).toBe(abc);
    expect(sha256(Buffer.from("a"), Buffer.from(""), Buffer.from("bc"))).toBe(abc);
  });
});
