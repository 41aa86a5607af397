/** Cuts terminal text so that the serialised frame, not the piece, stays within the gateway's size. */

export interface FramePart {
  readonly text: string;
  /** UTF-8 bytes of the text, by which the offset rises. */
  readonly sizeBytes: number;
}

/** Bytes of one character inside a JSON string, as JSON.stringify writes it. */
const jsonBytes = (code: number): number => {
  if (code < 0x20) return code === 8 || code === 9 || code === 10 || code === 12 || code === 13 ? 2 : 6;
  if (code === 0x22 || code === 0x5c) return 2;
  return utf8Bytes(code);
};
const utf8Bytes = (code: number): number => (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);

/**
 * Parts of `text` whose JSON string bodies (without quotes) take at most `maxJsonBytes` each: give it the frame's limit
 * less the frame serialised with empty data and its largest numbers. Never cuts a character; throws below one character.
 */
export const splitForFrames = (text: string, maxJsonBytes: number): FramePart[] => {
  if (maxJsonBytes < 6) throw new Error('a frame must have room for one character');
  const parts: FramePart[] = [];
  let start = 0;
  let used = 0;
  let sizeBytes = 0;
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) ?? 0;
    const width = code > 0xffff ? 2 : 1;
    // A lone surrogate cannot occur (the stream is well-formed); it would be escaped as six bytes.
    const cost = code >= 0xd800 && code <= 0xdfff ? 6 : jsonBytes(code);
    if (used + cost > maxJsonBytes) {
      parts.push({ text: text.slice(start, at), sizeBytes });
      start = at;
      used = 0;
      sizeBytes = 0;
    }
    used += cost;
    sizeBytes += utf8Bytes(code);
    at += width;
  }
  if (start < text.length) parts.push({ text: text.slice(start), sizeBytes });
  return parts;
};
