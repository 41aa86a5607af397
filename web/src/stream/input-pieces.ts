/** Cuts what a person typed or pasted into frames' worth: never inside a character, never over the frame's limit. */
import { FRAME_ENVELOPE_BYTES, FRAME_MAX_BYTES, INPUT_MAX_BYTES } from '../../../shared/limits.ts';
import { utf8Length } from './utf8.ts';

/** A signed view of up to 1,000 characters rides beside the data. */
const DATA_MAX_SERIALISED_BYTES = FRAME_MAX_BYTES - 2 * FRAME_ENVELOPE_BYTES;

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
      serialisedBytes + characterSerialised > DATA_MAX_SERIALISED_BYTES
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
