/** Makes the stream well-formed once: everything after it deals in whole characters, addressed in UTF-8 bytes. */

export interface Utf8Decoder {
  /** The text of `bytes`, without a character that is not complete yet; invalid bytes become U+FFFD. */
  push(bytes: Uint8Array): string;
  /** What is left at the end of the stream: U+FFFD for an unfinished character. */
  end(): string;
  /** Bytes of an unfinished character, 0 to 3. */
  readonly heldBytes: number;
}

const CONTINUATION = 0x80;
const isContinuation = (byte: number): boolean => (byte & 0xc0) === CONTINUATION;

/** Length of the character that `lead` begins; 0 for a byte that begins none (Unicode 15, table 3-7). */
const lengthOf = (lead: number): number => {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
};

/** Whether `second` may follow `lead`: overlong forms, surrogates and what lies beyond U+10FFFF are cut off here. */
const mayFollow = (lead: number, second: number): boolean => {
  if (!isContinuation(second)) return false;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second <= 0x9f;
  if (lead === 0xf0) return second >= 0x90;
  return lead !== 0xf4 || second <= 0x8f;
};

/** How many bytes at the end are the valid beginning of a character. */
const unfinishedBytes = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const lead = bytes[bytes.length - back] ?? 0;
    if (isContinuation(lead)) continue;
    if (lengthOf(lead) <= back) return 0;
    const second = bytes[bytes.length - back + 1];
    return second === undefined || mayFollow(lead, second) ? back : 0;
  }
  return 0;
};

/** A decoder for one stream; the result does not depend on how the stream is cut. */
export const utf8Decoder = (): Utf8Decoder => {
  let held: Buffer = Buffer.alloc(0);
  return {
    get heldBytes() {
      return held.length;
    },
    push(bytes) {
      const all =
        held.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : Buffer.concat([held, bytes]);
      const keep = unfinishedBytes(all);
      held = Buffer.from(all.subarray(all.length - keep));
      return all.toString('utf8', 0, all.length - keep);
    },
    end() {
      const rest = held.toString('utf8');
      held = Buffer.alloc(0);
      return rest;
    },
  };
};
