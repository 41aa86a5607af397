/** Cuts what a person typed or pasted into frames' worth: never inside a character, never over the frame's limit. */
import { INPUT_MAX_BYTES, INPUT_SERIALISED_MAX_BYTES } from '../limits.ts';
import { utf8Length } from './utf8.ts';

/** The longest beginning of `text` that fits one frame; control characters count as they are serialised (six bytes each in JSON). */
export const firstInputPiece = (text: string): string => {
  let end = 0;
  let rawBytes = 0;
  let serialisedBytes = 0;
  for (const character of text) {
    rawBytes += utf8Length(character);
    serialisedBytes += utf8Length(JSON.stringify(character)) - 2;
    if (rawBytes > INPUT_MAX_BYTES || serialisedBytes > INPUT_SERIALISED_MAX_BYTES) break;
    end += character.length;
  }
  return text.slice(0, end);
};
