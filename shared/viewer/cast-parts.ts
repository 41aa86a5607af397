/** A long session is played in parts: each begins with a chunk, which brings a screen of its own. */
import { CAST_PART_MAX_BYTES } from '../limits.ts';

interface Listed {
  readonly epoch: number;
  readonly firstOffset: number;
  readonly endOffset: number;
}

export interface CastPart<T extends Listed> {
  readonly chunks: readonly T[];
  readonly sizeBytes: number;
}

/** In the order given; each part is as large as CAST_PART_MAX_BYTES allows, but holds one chunk at least. */
export const castParts = <T extends Listed>(chunks: readonly T[], maxBytes = CAST_PART_MAX_BYTES): CastPart<T>[] => {
  const parts: { chunks: T[]; sizeBytes: number }[] = [];
  for (const chunk of chunks) {
    const sizeBytes = chunk.endOffset - chunk.firstOffset;
    const last = parts.at(-1);
    if (last === undefined || last.sizeBytes + sizeBytes > maxBytes) parts.push({ chunks: [chunk], sizeBytes });
    else {
      last.chunks.push(chunk);
      last.sizeBytes += sizeBytes;
    }
  }
  return parts;
};
