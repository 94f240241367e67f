// Ed25519 signatures over (domain, value): the domain keeps a signature made for one purpose from serving another.
// The signed message is the UTF-8 of domain + "\n" + canonical JSON of the value. Knows nothing of where keys are kept.
import { getPublicKey, hashes, sign, utils, verify } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import type { Signature, VolunteerId } from "@weft/protocol";
import { canonicalJson } from "./canonical.ts";
import { fromHex, toHex } from "./hash.ts";

hashes.sha512 = sha512;

const encoder = new TextEncoder();

/** One domain for each purpose; nothing is signed outside these. */
export const SIGNING_DOMAINS = {
  hello: "weft-hello-1",
  contribution: "weft-contribution-1",
  ledgerHead: "weft-ledger-head-1",
} as const;

/** A key pair whose secret half stays inside. */
export interface Identity {
  /** 64 lower-case hexadecimal digits. */
  readonly publicKey: VolunteerId;
  /** Throws only where `value` is no JSON. */
  sign(domain: string, value: unknown): Signature;
}

/** The exact bytes that a signature covers. Throws where `value` is no JSON. */
export const signedMessage = (domain: string, value: unknown): Uint8Array => encoder.encode(`${domain}\n${canonicalJson(value)}`);

/** A seed of 32 bytes names an identity for ever; without one it is drawn from the platform's secure random source. Throws on another length. */
export function createIdentity(seed: Uint8Array = utils.randomSecretKey()): Identity {
  if (seed.length !== 32) throw new RangeError(`an identity's seed has 32 bytes, not ${seed.length}`);
  const secret = Uint8Array.from(seed);
  const publicKey = toHex(getPublicKey(secret));
  return { publicKey, sign: (domain, value) => toHex(sign(signedMessage(domain, value), secret)) };
}

/**
 * True only for a good signature. Never throws: garbage of any kind is false. By RFC 8032's strict rules rather than ZIP 215, so
 * that a point of small order, which would vouch for any message, is no key.
 */
export function verifySignature(publicKey: string, domain: string, value: unknown, signature: string): boolean {
  try {
    if (!/^[0-9a-f]{64}$/.test(publicKey) || !/^[0-9a-f]{128}$/.test(signature)) return false;
    return verify(fromHex(signature), signedMessage(domain, value), fromHex(publicKey), { zip215: false });
  } catch {
    return false;
  }
}
