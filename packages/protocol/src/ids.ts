// Names of things as they travel: hashes, keys, run and data-set ids, people's names. Knows only their form.
import * as z from "zod/mini";
import { MAX_NAME_CHARACTERS } from "./limits.ts";

/** SHA-256, 64 lower-case hexadecimal digits. */
export const Sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
export type Sha256 = z.infer<typeof Sha256>;

/** A volunteer is its Ed25519 public key, 64 lower-case hexadecimal digits. */
export const VolunteerId = z.string().check(z.regex(/^[0-9a-f]{64}$/));
export type VolunteerId = z.infer<typeof VolunteerId>;

/** Ed25519 signature, 128 lower-case hexadecimal digits. */
export const Signature = z.string().check(z.regex(/^[0-9a-f]{128}$/));
export type Signature = z.infer<typeof Signature>;

/** Made by the coordinator from the specification's name: `digits`, `digits-2`. */
export const RunId = z.string().check(z.regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/));
export type RunId = z.infer<typeof RunId>;

export const DatasetId = z.string().check(z.regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/));
export type DatasetId = z.infer<typeof DatasetId>;

/** `<version>.<index in the version>`: leases of a version are numbered in the order in which they were cut. */
export const LeaseId = z.string().check(z.regex(/^\d{1,9}\.\d{1,9}$/));
export type LeaseId = z.infer<typeof LeaseId>;

/** An f32 by its bits, 8 hexadecimal digits, most significant first: floats that matter to the weights travel so. */
export const F32Hex = z.string().check(z.regex(/^[0-9a-f]{8}$/));
export type F32Hex = z.infer<typeof F32Hex>;

export const f32ToHex = (value: number): F32Hex => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0).toString(16).padStart(8, "0");
};
export const f32FromHex = (hex: F32Hex): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number.parseInt(hex, 16));
  return view.getFloat32(0);
};

// Control characters, bidirectional marks and overrides, zero-width and other invisible formatting, line and paragraph separators.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
/** True for a name a volunteer or run may carry: 1 to 32 characters, NFC, nothing unseen, no blank edges. */
export const isDisplayName = (name: string): boolean => {
  const characters = [...name];
  return (
    characters.length >= 1 &&
    characters.length <= MAX_NAME_CHARACTERS &&
    name === name.normalize("NFC") &&
    name === name.trim() &&
    !UNSEEN.test(name)
  );
};
export const DisplayName = z
  .string()
  .check(z.maxLength(4 * MAX_NAME_CHARACTERS), z.refine(isDisplayName, "1 to 32 visible characters in NFC"));
export type DisplayName = z.infer<typeof DisplayName>;

/** How a key is shown where it has no name: `b3e·91b0`. */
export const shortKey = (volunteer: VolunteerId): string => `${volunteer.slice(0, 3)}·${volunteer.slice(3, 7)}`;

/** A lease's number in its codec's random stream, u32: neighbouring versions and indices give different numbers. */
export const leaseNumber = (lease: LeaseId): number => {
  const [version = 0, index = 0] = lease.split(".").map(Number);
  return (Math.imul(version, 0x9e37_79b1) + index) >>> 0;
};
