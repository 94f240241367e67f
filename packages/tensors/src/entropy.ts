// Bytes in fewer bytes where some are commoner than others: static order-0 range ANS [Duda, 1311.2540] with 12-bit frequencies and byte-wise
// renormalisation. Integers only, so that both sides agree everywhere. Knows not what the bytes mean. The length of what comes out is the
// caller's to know, so nothing that arrives can make more of it.

const FREQUENCY_BITS = 12;
const TOTAL = 1 << FREQUENCY_BITS;
/** The state stays in [LOW, 256 * LOW), below 2^31. */
const LOW = 1 << 23;
const SYMBOLS = 256;
const STATE_BYTES = 4;
const PRESENT_BYTES = SYMBOLS / 8;

export type Expanded = { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly detail: string };

/**
 * Frequencies that add up to 4,096, each symbol that occurs having at least 1. What rounding leaves over or wants is settled with the commonest
 * symbols, the lower one first among equals.
 */
function frequenciesOf(bytes: Uint8Array): Uint16Array {
  const counts = new Float64Array(SYMBOLS);
  for (const byte of bytes) counts[byte] = (counts[byte] as number) + 1;
  const frequencies = new Uint16Array(SYMBOLS);
  let left = TOTAL;
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    if (counts[symbol] === 0) continue;
    frequencies[symbol] = Math.max(1, Math.floor(((counts[symbol] as number) * TOTAL) / bytes.length));
    left -= frequencies[symbol] as number;
  }
  const commonest = Array.from({ length: SYMBOLS }, (_, symbol) => symbol)
    .filter((symbol) => counts[symbol] !== 0)
    .sort((a, b) => (counts[b] as number) - (counts[a] as number) || a - b);
  for (let turn = 0; left !== 0; turn = (turn + 1) % commonest.length) {
    const symbol = commonest[turn] as number;
    const step = Math.sign(left);
    if ((frequencies[symbol] as number) + step < 1) continue;
    frequencies[symbol] = (frequencies[symbol] as number) + step;
    left -= step;
  }
  return frequencies;
}

function startsOf(frequencies: Uint16Array): Uint16Array {
  const starts = new Uint16Array(SYMBOLS);
  for (let symbol = 1; symbol < SYMBOLS; symbol++) starts[symbol] = (starts[symbol - 1] as number) + (frequencies[symbol - 1] as number);
  return starts;
}

/** Layout: which symbols occur (a bit each, 32 bytes), their frequencies less 1 (12 bits each, rising), the last state, the stream. */
export function compress(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return new Uint8Array(0);
  const frequencies = frequenciesOf(bytes);
  const starts = startsOf(frequencies);
  // The stream is written from its end: what is read first is coded last.
  const reversed = new Uint8Array(2 * bytes.length + STATE_BYTES);
  let length = 0;
  let state = LOW;
  for (let at = bytes.length - 1; at >= 0; at--) {
    const symbol = bytes[at] as number;
    const frequency = frequencies[symbol] as number;
    const most = (LOW >> FREQUENCY_BITS) * SYMBOLS * frequency;
    while (state >= most) {
      reversed[length++] = state & 255;
      state >>= 8;
    }
    const whole = Math.floor(state / frequency);
    state = whole * TOTAL + (state - whole * frequency) + (starts[symbol] as number);
  }
  for (let byte = 0; byte < STATE_BYTES; byte++) reversed[length++] = (state >>> (8 * byte)) & 255;
  const table = tableOf(frequencies);
  const out = new Uint8Array(table.length + length);
  out.set(table);
  out.set(reversed.subarray(0, length).reverse(), table.length);
  return out;
}

function tableOf(frequencies: Uint16Array): Uint8Array {
  const present = [...frequencies.keys()].filter((symbol) => frequencies[symbol] !== 0);
  const table = new Uint8Array(tableBytes(present.length));
  for (const [index, symbol] of present.entries()) {
    table[symbol >> 3] = (table[symbol >> 3] as number) | (1 << (symbol & 7));
    const less = (frequencies[symbol] as number) - 1;
    const at = PRESENT_BYTES + ((3 * index) >> 1);
    const shifted = (index & 1) === 0 ? less : less << 4;
    table[at] = (table[at] as number) | (shifted & 255);
    table[at + 1] = (table[at + 1] as number) | (shifted >> 8);
  }
  return table;
}
const tableBytes = (present: number): number => PRESENT_BYTES + Math.ceil((3 * present) / 2);

function readTable(bytes: Uint8Array): { readonly frequencies: Uint16Array; readonly bytes: number } | null {
  if (bytes.length < PRESENT_BYTES) return null;
  const present = Array.from({ length: SYMBOLS }, (_, symbol) => symbol).filter(
    (symbol) => (((bytes[symbol >> 3] as number) >> (symbol & 7)) & 1) === 1,
  );
  const length = tableBytes(present.length);
  if (bytes.length < length) return null;
  const frequencies = new Uint16Array(SYMBOLS);
  let sum = 0;
  for (const [index, symbol] of present.entries()) {
    const at = PRESENT_BYTES + ((3 * index) >> 1);
    const two = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    frequencies[symbol] = (((index & 1) === 0 ? two : two >> 4) & (TOTAL - 1)) + 1;
    sum += frequencies[symbol] as number;
  }
  const spare = (present.length & 1) === 1 ? (bytes[length - 1] as number) >> 4 : 0;
  return sum === TOTAL && spare === 0 ? { frequencies, bytes: length } : null;
}

/** Where the decoding of a stream begins. */
export interface Expansion {
  /** For each of the 4,096 slots: the symbol, its frequency less 1 from bit 8 on, and the slot's place among the symbol's from bit 20 on. */
  readonly slots: Uint32Array;
  readonly state: number;
  /** Bytes of table and state, before the stream. */
  readonly at: number;
}

/** Table and first state of a stream of at least one byte. A sentence for what `compress` never writes. */
export function expansionOf(compressed: Uint8Array): Expansion | string {
  const table = readTable(compressed);
  if (table === null) return "the table of frequencies does not add up";
  const starts = startsOf(table.frequencies);
  const slots = new Uint32Array(TOTAL);
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const frequency = table.frequencies[symbol] as number;
    for (let place = 0; place < frequency; place++)
      slots[(starts[symbol] as number) + place] = symbol | ((frequency - 1) << 8) | (place << 20);
  }
  let at = table.bytes;
  if (compressed.length < at + STATE_BYTES) return CUT;
  let state = 0;
  for (let byte = 0; byte < STATE_BYTES; byte++) state = state * 256 + (compressed[at++] as number);
  return state < LOW || state >= LOW * 256 ? "the first state is out of range" : { slots, state, at };
}

/** Where every decoding ends, with all bytes read. */
export const LAST_STATE = LOW;

/** Decodes what `compress` wrote: exactly `length` bytes, or a refusal. */
export type Expand = (compressed: Uint8Array, length: number) => Expanded;

/** Gives exactly `length` bytes, or a sentence for what `compress` never writes. Takes time in proportion to `length`, whatever arrives. */
export const expand: Expand = (compressed, length) => {
  if (length === 0) return compressed.length === 0 ? { ok: true, bytes: new Uint8Array(0) } : refused("nothing was to come");
  const begun = expansionOf(compressed);
  if (typeof begun === "string") return refused(begun);
  const { slots } = begun;
  let { state, at } = begun;
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const slot = slots[state & (TOTAL - 1)] as number;
    bytes[index] = slot;
    state = (((slot >>> 8) & (TOTAL - 1)) + 1) * (state >> FREQUENCY_BITS) + (slot >>> 20);
    while (state < LOW) {
      if (at >= compressed.length) return refused(CUT);
      state = (state << 8) | (compressed[at++] as number);
    }
  }
  if (state !== LOW || at !== compressed.length) return refused("the stream does not end where its bytes do");
  return { ok: true, bytes };
};
const CUT = "the stream is cut short";
const refused = (detail: string): Expanded => ({ ok: false, detail });
