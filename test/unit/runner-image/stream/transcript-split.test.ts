import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { SnapshotResult } from '../../../../runner-image/src/stream/stream-screen.ts';
import type { OutputPiece } from '../../../../runner-image/src/stream/terminal-stream.ts';
import { type ClosedChunk, transcriptChunker } from '../../../../runner-image/src/stream/transcript-chunker.ts';
import { TranscriptChunk } from '../../../../shared/http.ts';
import { TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES, TRANSCRIPT_CHUNK_WATCHED_BYTES } from '../../../../shared/limits.ts';
import { TranscriptReplay } from '../../../../shared/viewer/transcript-replay.ts';
import { manualClock } from './manual-clock.ts';

const MAX_BYTES = 100_000;
const start = { epoch: 1, offset: 0, sizeRev: 0, cols: 80, rows: 24, data: 'key' };
const chunkerOf = (chunks: ClosedChunk[], snapshot: () => Promise<SnapshotResult>) =>
  transcriptChunker({
    ...{ sessionId: 'ses_01M818DT2M4AAKW8PWHM6KKR6T', clock: manualClock().clock, start, number: 3, snapshot },
    onChunk: (chunk) => chunks.push(chunk),
    maxBytes: MAX_BYTES,
  });
const piece = (offset: number, text: string, sizeRev = 0): OutputPiece => ({
  ...{ epoch: 1, offset, endOffset: offset + Buffer.byteLength(text), text, sizeRev, cols: 80 + sizeRev, rows: 24 },
  atMs: 5,
});
const contentOf = ({ body }: ClosedChunk) => TranscriptChunk.parse(JSON.parse(gunzipSync(body).toString()));
const replayed = (chunks: ClosedChunk[]): string => {
  const replay = new TranscriptReplay();
  const actions = chunks.flatMap((chunk) => replay.next(contentOf(chunk)));
  return actions.flatMap((action) => (action.kind === 'write' ? [action.data] : [])).join('');
};
const contiguous = (chunks: ClosedChunk[]): void => {
  expect(chunks.map(({ number }) => number)).toEqual(chunks.map((_, index) => 3 + index));
  expect(chunks.map(({ firstOffset }) => firstOffset)).toEqual([0, ...chunks.slice(0, -1).map((c) => c.endOffset)]);
};

describe('a transcript chunk that would be too large', () => {
  test.each([
    ['in many pieces', (text: string) => text.match(/.{1,5000}/gsu) ?? []],
    ['in one piece', (text: string) => [text]],
  ])('%s is split, within its bound and without a gap', async (_, cut) => {
    const chunks: ClosedChunk[] = [];
    const chunker = chunkerOf(chunks, async () => ({ kind: 'not_at_ground' }));
    const text = `${'🐡'.repeat(500)}${randomBytes(150_000).toString('base64')}${'é'.repeat(500)}`;
    let offset = 0;
    for (const part of cut(text)) {
      const next = piece(offset, part);
      chunker.push(next);
      offset = next.endOffset;
    }
    await chunker.end();
    expect(chunks.length).toBeGreaterThan(1);
    for (const { sizeBytes } of chunks) expect(sizeBytes).toBeLessThanOrEqual(MAX_BYTES);
    contiguous(chunks);
    expect(replayed(chunks)).toBe(`key${text}`);
    expect(chunks.at(-1)?.endOffset).toBe(Buffer.byteLength(text));
  });

  test('of control characters, which JSON writes six times as long, is split within what readers unpack', async () => {
    const chunks: ClosedChunk[] = [];
    const chunker = chunkerOf(chunks, async () => ({ kind: 'not_at_ground' }));
    const text = '\x01'.repeat(Math.ceil(TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES / 5));
    chunker.push(piece(0, text));
    await chunker.end();
    contiguous(chunks);
    const sizes = chunks.map(({ body }) => gunzipSync(body).length);
    expect(sizes.filter((sizeBytes) => sizeBytes > TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES)).toEqual([]);
    expect(chunks.at(-1)?.endOffset).toBe(text.length);
  });

  test('inside a control string that does not end it is closed without a keyframe, in the size of its end', async () => {
    const chunks: ClosedChunk[] = [];
    const chunker = chunkerOf(chunks, async () => ({ kind: 'not_at_ground' }));
    const text = 'x'.repeat(TRANSCRIPT_CHUNK_WATCHED_BYTES);
    chunker.setWatched(true);
    for (let round = 0; round < 4; round += 1) {
      chunker.push(piece(round * text.length, text, round));
      await new Promise(setImmediate);
    }
    expect(chunks.length).toBeGreaterThan(0);
    await chunker.end();
    contiguous(chunks);
    expect(replayed(chunks)).toBe(`key${text.repeat(4)}`);
    expect(contentOf(chunks[1] as ClosedChunk).keyframe).toMatchObject({ cols: 81, sizeRev: 1, data: '\x1bc' });
  });
});
