/** A stored chunk is read zipped or not, and a bomb is not unpacked. */
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES } from '../../../../shared/limits.ts';
import { readTranscriptChunk } from '../../../../shared/viewer/transcript-chunk.ts';
import { mockId } from '../../../e2e/mock/mock-data.ts';

const chunk = {
  v: 1,
  sessionId: mockId('ses', 1),
  epoch: 1,
  number: 0,
  firstOffset: 0,
  endOffset: 6,
  keyframe: { cols: 80, rows: 24, sizeRev: 1, data: '' },
  parts: [{ k: 'o', ts: 0, offset: 0, data: '█ä!' }],
};
const bytesOf = (text: string | Buffer): ArrayBuffer => new Uint8Array(Buffer.from(text)).buffer;

it('reads it zipped, and as a store that unzips hands it over', async () => {
  const json = JSON.stringify(chunk);
  expect(await readTranscriptChunk(bytesOf(gzipSync(json)))).toEqual(chunk);
  expect(await readTranscriptChunk(bytesOf(json))).toEqual(chunk);
});

it('tells another shape from damage', async () => {
  expect(await readTranscriptChunk(bytesOf('{"v":1}'))).toBeNull();
  await expect(readTranscriptChunk(bytesOf('no JSON'))).rejects.toThrow(SyntaxError);
  await expect(readTranscriptChunk(bytesOf(gzipSync('{}').subarray(0, 12)))).rejects.toThrow();
});

it('stops unpacking at the cap', async () => {
  const bomb = gzipSync(Buffer.alloc(TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES + 1, ' '));
  await expect(readTranscriptChunk(bytesOf(bomb))).rejects.toThrow(/more than a chunk may hold/);
});
