// The coded form of topk: scales as they are; the distances between chosen places and the 2 bits of each value, each compressed on their own.
// Layout: scales, how many bytes the distances are and how many they take compressed (u32 little-endian each), distances, values.
// A distance is the number of places left out before a chosen one; 255 stands for as many and more to follow.
import { compress } from "../entropy.ts";
import type { EntropyForm } from "./entropy-coded.ts";
import { fault } from "./faults.ts";
import { chosenOf, INDEX_BITS, readWord, TOPK_BLOCK, topkBlocks, topkBytes, writeWord } from "./topk-words.ts";

const MORE = 255;
const HEAD_BYTES = 8;
/** A distance below 4,096 takes at most this many bytes. */
const LONGEST = Math.floor((TOPK_BLOCK - 1) / MORE) + 1;

const MISFIT = fault("bad-payload", "the distances do not fit the blocks");

export const topkForm: EntropyForm = {
  code: (bytes, size) => {
    const scales: number[] = [];
    const distances: number[] = [];
    const values: number[] = [];
    let count = 0;
    for (const { values: length, at } of topkBlocks(size)) {
      const block = bytes.subarray(at);
      scales.push(block[0] as number, block[1] as number);
      let before = -1;
      for (let index = 0; index < chosenOf(length); index++, count++) {
        const word = readWord(block, index);
        const place = word & (TOPK_BLOCK - 1);
        let distance = place - before - 1;
        before = place;
        for (; distance >= MORE; distance -= MORE) distances.push(MORE);
        distances.push(distance);
        const two = (word >> INDEX_BITS) << (2 * (count & 3));
        if ((count & 3) === 0) values.push(two);
        else values[values.length - 1] = (values[values.length - 1] as number) | two;
      }
    }
    const packedDistances = compress(Uint8Array.from(distances));
    const packedValues = compress(Uint8Array.from(values));
    const coded = new Uint8Array(scales.length + HEAD_BYTES + packedDistances.length + packedValues.length);
    coded.set(scales);
    const head = new DataView(coded.buffer, scales.length, HEAD_BYTES);
    head.setUint32(0, distances.length, true);
    head.setUint32(4, packedDistances.length, true);
    coded.set(packedDistances, scales.length + HEAD_BYTES);
    coded.set(packedValues, scales.length + HEAD_BYTES + packedDistances.length);
    return coded;
  },
  decode: (coded, size, expand) => {
    const blocks = [...topkBlocks(size)];
    const scaleBytes = 2 * blocks.length;
    const chosen = blocks.reduce((sum, { values }) => sum + chosenOf(values), 0);
    const from = scaleBytes + HEAD_BYTES;
    if (coded.length < from) return fault("wrong-length", `${coded.length} bytes do not hold the scales of ${size} values`);
    const head = new DataView(coded.buffer, coded.byteOffset + scaleBytes, HEAD_BYTES);
    const distanceBytes = head.getUint32(0, true);
    const packed = head.getUint32(4, true);
    if (distanceBytes < chosen || distanceBytes > LONGEST * chosen || packed > coded.length - from) return MISFIT;
    const distances = expand(coded.subarray(from, from + packed), distanceBytes);
    if (!distances.ok) return fault("bad-payload", distances.detail);
    const values = expand(coded.subarray(from + packed), Math.ceil(chosen / 4));
    if (!values.ok) return fault("bad-payload", values.detail);
    const bytes = new Uint8Array(topkBytes(size));
    let read = 0;
    let count = 0;
    for (const [number, { values: length, at }] of blocks.entries()) {
      const block = bytes.subarray(at);
      block.set(coded.subarray(2 * number, 2 * number + 2));
      let place = -1;
      for (let index = 0; index < chosenOf(length); index++, count++) {
        let byte = MORE;
        place += 1;
        while (byte === MORE) {
          if (read >= distanceBytes) return MISFIT;
          byte = distances.bytes[read++] as number;
          place += byte;
        }
        if (place >= length) return MISFIT;
        const two = ((values.bytes[count >> 2] as number) >> (2 * (count & 3))) & 3;
        writeWord(block, index, place | (two << INDEX_BITS));
      }
    }
    const spare = (values.bytes.at(-1) ?? 0) >> (2 * (((chosen + 3) & 3) + 1));
    if (read !== distanceBytes || spare !== 0) return MISFIT;
    return { ok: true, bytes };
  },
};
