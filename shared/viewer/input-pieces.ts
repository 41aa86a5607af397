/** Cuts what a person typed or pasted into frames' worth: never inside a character, never over the frame's limit. */
import { INPUT_MAX_BYTES, INPUT_SERIALISED_MAX_BYTES } from '../limits.ts';
import { utf8Length } from './utf8.ts';

/** Pieces in order; control characters count as they are serialised (six bytes each in JSON). */
export const inputPieces = (text: string): string[] => {
  const pieces: string[] = [];
  let piece = '';
  let rawBytes = 0;
  let serialisedBytes = 0;
  for (const character of text) {
    const characterBytes = utf8Length(character);
    const characterSerialised = utf8Length(JSON.stringify(character)) - 2;
    if (
      rawBytes + characterBytes > INPUT_MAX_BYTES ||
      serialisedBytes + characterSerialised > INPUT_SERIALISED_MAX_BYTES
    ) {
      pieces.push(piece);
      piece = '';
      rawBytes = 0;
      serialisedBytes = 0;
    }
    piece += character;
    rawBytes += characterBytes;
    serialisedBytes += characterSerialised;
  }
  if (piece !== '') pieces.push(piece);
  return pieces;
};
