// Keys and signatures that cost nothing: a signature binds its key, domain and value, but anybody could make it. A simulation asks what
// becomes of good and bad signatures, not whether Ed25519 is sound.
import type { VerifySignature } from "@weft/coordinator";
import { canonicalJson, type Identity } from "@weft/ledger";

const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");

/** Two sums over the text, of different multipliers: 64 bits. */
function digest(text: string): string {
  let [first, second] = [0x811c_9dc5, 0x1234_5678];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    first = Math.imul(first ^ code, 0x0100_0193);
    second = Math.imul(second + code, 0x85eb_ca6b) ^ (second >>> 13);
  }
  return hex(first) + hex(second);
}

const signatureOf = (publicKey: string, domain: string, value: unknown): string =>
  digest(`${publicKey} ${domain} ${canonicalJson(value)}`).repeat(8);

export function stubIdentity(name: string): Identity {
  const publicKey = digest(name).repeat(4);
  return { publicKey, sign: (domain, value) => signatureOf(publicKey, domain, value) };
}

export const isStubSigned = (publicKey: string, domain: string, value: unknown, signature: string): boolean =>
  signature === signatureOf(publicKey, domain, value);

export const stubVerify: VerifySignature = (publicKey, domain, value, signature) =>
  Promise.resolve(isStubSigned(publicKey, domain, value, signature));
