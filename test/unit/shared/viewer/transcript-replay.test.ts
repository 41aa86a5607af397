/** Stored chunks give back the stream: whole, without repeats, and honest about what is missing. */
import { describe, expect, it } from 'vitest';
import type { TranscriptChunk } from '../../../../shared/http.ts';
import { VIEWER_TRANSCRIPT_MAX_BYTES } from '../../../../shared/limits.ts';
import {
  chunksToReplay,
  type ReplayAction,
  replayChunks,
  TranscriptReplay,
} from '../../../../shared/viewer/transcript-replay.ts';
import { mockId } from '../../../e2e/mock/mock-data.ts';

const chunk = (
  epoch: number,
  firstOffset: number,
  text: string,
  over: Partial<TranscriptChunk> = {},
): TranscriptChunk => ({
  v: 1,
  sessionId: mockId('ses', 1),
  epoch,
  number: 0,
  firstOffset,
  endOffset: firstOffset + Buffer.byteLength(text),
  keyframe: { cols: 80, rows: 24, sizeRev: 1, data: `[screen at ${firstOffset}]` },
  parts: [{ k: 'o', ts: 0, offset: firstOffset, data: text }],
  ...over,
});
const replayed = (...chunks: TranscriptChunk[]) => {
  const replay = new TranscriptReplay();
  const actions = chunks.flatMap((one) => replay.next(one));
  const text = actions
    .map((action) =>
      action.kind === 'write' ? action.data : action.kind === 'divide' ? `<${action.words}>` : `<${action.kind}>`,
    )
    .join('');
  return { replay, text };
};

describe('TranscriptReplay', () => {
  it('writes one keyframe, then every byte once', () => {
    const { replay, text } = replayed(chunk(1, 0, 'héllo '), chunk(1, 7, 'world'));
    expect(text).toBe('<reset><resize>[screen at 0]héllo world');
    expect(replay.at).toEqual({ epoch: 1, offset: 12 });
  });

  it('trims chunks that overlap, in bytes', () => {
    expect(replayed(chunk(1, 0, 'é█x'), chunk(1, 2, '█xyz')).text).toBe('<reset><resize>[screen at 0]é█xyz');
  });

  it('says what is missing and goes on from the next keyframe', () => {
    const { text } = replayed(chunk(1, 0, 'abc'), chunk(1, 10, 'xyz'));
    expect(text).toContain('7 bytes were not stored');
    expect(text.endsWith('<resize>[screen at 10]xyz')).toBe(true);
  });

  it('keeps the earlier epoch in the scrollback', () => {
    const { replay, text } = replayed(chunk(1, 0, 'abc'), chunk(2, 0, 'xyz'));
    expect(text.match(/<reset>/g)).toHaveLength(1);
    expect(text).toContain('epoch 2');
    expect(replay.at).toEqual({ epoch: 2, offset: 3 });
  });

  it('resizes where the stream did', () => {
    const parts: TranscriptChunk['parts'] = [
      { k: 'o', ts: 0, offset: 0, data: 'ab' },
      { k: 'r', ts: 0, offset: 2, sizeRev: 2, cols: 100, rows: 30 },
      { k: 'o', ts: 0, offset: 2, data: 'cd' },
    ];
    expect(replayed(chunk(1, 0, 'abcd', { parts })).text).toBe('<reset><resize>[screen at 0]ab<resize>cd');
  });
});

describe('chunksToReplay', () => {
  const listed = (epoch: number, firstOffset: number, endOffset: number) => ({
    epoch,
    number: 0,
    firstOffset,
    endOffset,
  });

  it('orders by epoch and offset', () => {
    const { chunks, skipped } = chunksToReplay([listed(2, 0, 5), listed(1, 5, 9), listed(1, 0, 5)]);
    expect(chunks.map(({ epoch, firstOffset }) => [epoch, firstOffset])).toEqual([
      [1, 0],
      [1, 5],
      [2, 0],
    ]);
    expect(skipped).toBe(false);
  });

  it('leaves the oldest out over the cap, and says so', () => {
    const half = VIEWER_TRANSCRIPT_MAX_BYTES / 2;
    const { chunks, skipped } = chunksToReplay([
      listed(1, 0, half),
      listed(1, half, half * 2),
      listed(1, half * 2, half * 3),
    ]);
    expect(chunks.map(({ firstOffset }) => firstOffset)).toEqual([half, half * 2]);
    expect(skipped).toBe(true);
  });
});

describe('replayChunks', () => {
  it('goes on behind a chunk that is gone, and counts it', async () => {
    const stored = [chunk(1, 0, 'abc'), null, chunk(1, 6, 'xyz')];
    const listed = [6, 0, 3].map((firstOffset) => ({
      epoch: 1,
      number: 0,
      firstOffset,
      endOffset: firstOffset + 3,
    }));
    const drawn: ReplayAction[] = [];
    const result = await replayChunks(
      listed,
      async ({ firstOffset }) => stored[firstOffset / 3] ?? null,
      (actions) => void drawn.push(...actions),
    );
    expect(result).toEqual({ at: { epoch: 1, offset: 9 }, skipped: false, unreadable: 1 });
    expect(drawn.map(({ kind }) => kind)).toEqual([
      'reset',
      'resize',
      'write',
      'write',
      'divide',
      'resize',
      'write',
      'write',
    ]);
  });
});
