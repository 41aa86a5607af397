/** Output that nobody has acknowledged yet, so that a restarted runner can read on from any offset it may still need. */

export interface OutputBuffer {
  /** Offset after the last byte. */
  readonly endOffset: number;
  /** Offset of the first byte still held. */
  readonly startOffset: number;
  readonly sizeBytes: number;
  append(bytes: Buffer): void;
  /** Forgets everything below `offset`; an offset that was acknowledged before is ignored. Throws beyond the end. */
  ack(offset: number): void;
  /** The bytes from `offset` on, at most `maxBytes`, as views; empty at the end. Throws outside of what is held. */
  from(offset: number, maxBytes: number): Buffer[];
}

/** An empty buffer at offset 0; the caller bounds it by not appending (flow control). */
export const outputBuffer = (): OutputBuffer => {
  let chunks: Buffer[] = [];
  let start = 0;
  let end = 0;
  /** Reading goes forward almost always: remember where the last read ended. */
  let cursor = { index: 0, offset: 0 };

  const seek = (offset: number): { index: number; offset: number } => {
    const at = cursor.offset <= offset && cursor.offset >= start ? { ...cursor } : { index: 0, offset: start };
    for (
      let chunk = chunks[at.index];
      chunk !== undefined && at.offset + chunk.length <= offset;
      chunk = chunks[at.index]
    ) {
      at.offset += chunk.length;
      at.index += 1;
    }
    return at;
  };

  return {
    get endOffset() {
      return end;
    },
    get startOffset() {
      return start;
    },
    get sizeBytes() {
      return end - start;
    },
    append(bytes) {
      if (bytes.length === 0) return;
      chunks.push(bytes);
      end += bytes.length;
    },
    ack(offset) {
      if (offset > end) throw new Error(`ack of ${offset} beyond the end ${end}`);
      if (offset <= start) return;
      const at = seek(offset);
      const rest = chunks[at.index];
      chunks = chunks.slice(at.index);
      if (rest !== undefined) chunks[0] = rest.subarray(offset - at.offset);
      start = offset;
      cursor = { index: 0, offset };
    },
    from(offset, maxBytes) {
      if (offset < start || offset > end) throw new Error(`read at ${offset} outside ${start}..${end}`);
      const found: Buffer[] = [];
      const at = seek(offset);
      let skip = offset - at.offset;
      let left = maxBytes;
      for (let chunk = chunks[at.index]; chunk !== undefined && left > 0; chunk = chunks[at.index]) {
        const piece = chunk.subarray(skip, skip + left);
        found.push(piece);
        left -= piece.length;
        if (skip + piece.length < chunk.length) break;
        skip = 0;
        at.offset += chunk.length;
        at.index += 1;
      }
      cursor = at;
      return found;
    },
  };
};
