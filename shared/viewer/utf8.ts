/** Addresses count UTF-8 bytes while JavaScript counts UTF-16 units: the two meet here only. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Length of `text` in UTF-8 bytes; a lone surrogate counts as U+FFFD, as it would be sent. */
export const utf8Length = (text: string): number => {
  let bytes = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))) {
      bytes += 4;
      index += 1;
    } else bytes += 3;
  }
  return bytes;
};

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

/** `text` without its first `countBytes` bytes, or `null` where the cut would fall inside a character. */
export const dropUtf8Bytes = (text: string, countBytes: number): string | null => {
  if (countBytes === 0) return text;
  try {
    return decoder.decode(encoder.encode(text).subarray(countBytes));
  } catch {
    // The decoder is fatal on purpose: the caller must not show half a character.
    return null;
  }
};
