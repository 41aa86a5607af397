/** The stored terminal stream of a session, read as any client may: chunks by presigned address, put together by offset. */
import { gunzipSync } from 'node:zlib';
import { Transcript, TranscriptChunk } from '../../../shared/http.ts';
import type { TestVillage } from '../../fakes/village.ts';
import type { Resize } from './screen.ts';

export interface StoredStream {
  readonly bytes: Buffer;
  /** The first is the size at offset 0. */
  readonly sizes: readonly Resize[];
}

/** Throws when a chunk leaves a gap, overlaps, or counts its bytes wrongly. */
export const storedStream = async (village: TestVillage, sessionId: string): Promise<StoredStream> => {
  const { body } = await village.api('GET', `/api/sessions/${sessionId}/transcript`);
  const pieces: Buffer[] = [];
  const sizes: Resize[] = [];
  let offset = 0;
  for (const { url } of Transcript.parse(body).chunks) {
    const answer = Buffer.from(await (await fetch(url)).arrayBuffer());
    const text = answer[0] === 0x1f && answer[1] === 0x8b ? gunzipSync(answer) : answer;
    const chunk = TranscriptChunk.parse(JSON.parse(text.toString('utf8')));
    if (chunk.firstOffset !== offset)
      throw new Error(`chunk ${chunk.number} begins at ${chunk.firstOffset}, not ${offset}`);
    if (sizes.length === 0) sizes.push({ offset: 0, cols: chunk.keyframe.cols, rows: chunk.keyframe.rows });
    for (const part of chunk.parts) {
      if (part.offset !== offset)
        throw new Error(`a part of chunk ${chunk.number} is at ${part.offset}, not ${offset}`);
      if (part.k === 'r') {
        sizes.push({ offset, cols: part.cols, rows: part.rows });
        continue;
      }
      const piece = Buffer.from(part.data, 'utf8');
      pieces.push(piece);
      offset += piece.length;
    }
    if (chunk.endOffset !== offset) throw new Error(`chunk ${chunk.number} ends at ${chunk.endOffset}, not ${offset}`);
  }
  return { bytes: Buffer.concat(pieces), sizes };
};
