import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { splitForFrames } from '../../../../runner-image/src/stream/frame-splitter.ts';
import { decideFlush, outputPacer, type PacerState } from '../../../../runner-image/src/stream/output-pacer.ts';
import type { SnapshotResult } from '../../../../runner-image/src/stream/stream-screen.ts';
import type { OutputPiece } from '../../../../runner-image/src/stream/terminal-stream.ts';
import {
  type ClosedChunk,
  decideChunk,
  transcriptChunker,
} from '../../../../runner-image/src/stream/transcript-chunker.ts';
import { TranscriptChunk } from '../../../../shared/http.ts';
import { LIVE_BACKLOG_MAX_BYTES } from '../../../../shared/limits.ts';
import { manualClock } from './manual-clock.ts';

const piece = (offset: number, text: string, sizeRev = 0): OutputPiece => ({
  epoch: 1,
  offset,
  endOffset: offset + Buffer.byteLength(text),
  text,
  sizeRev,
  cols: 80,
  rows: 24,
  atMs: 5,
});

describe('frame splitter', () => {
  test('parts fit as JSON, cut no character and lose nothing', () => {
    const text = fc.string({ unit: 'binary', maxLength: 300 }).map((raw) => raw.toWellFormed());
    fc.assert(
      fc.property(text, fc.integer({ min: 6, max: 60 }), (whole, max) => {
        const parts = splitForFrames(whole, max);
        expect(parts.map((part) => part.text).join('')).toBe(whole);
        for (const part of parts) {
          expect(Buffer.byteLength(JSON.stringify(part.text)) - 2).toBeLessThanOrEqual(max);
          expect(part.sizeBytes).toBe(Buffer.byteLength(part.text));
          expect(part.text.isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
  test('parts are filled', () => {
    expect(splitForFrames('\x1b'.repeat(10), 12).map((part) => part.sizeBytes)).toEqual([2, 2, 2, 2, 2]);
  });
});

describe('when output leaves', () => {
  const base: PacerState = {
    isWatched: true,
    backlogBytes: 10,
    lastInputMs: undefined,
    lastFlushMs: 1_000,
    isEchoDue: false,
    trickles: 0,
    flushes: 0,
  };
  test.each([
    ['nothing waits', { backlogBytes: 0 }, 1_001, { action: 'nothing' }],
    ['nobody watches', { isWatched: false }, 1_001, { action: 'discard' }],
    ['first output', { lastFlushMs: undefined }, 1_001, { action: 'flush' }],
    ['no input, too early', {}, 1_499, { action: 'wait', delayMs: 1 }],
    ['no input, half a second later', {}, 1_500, { action: 'flush' }],
    ['input half a minute ago, 250 ms later', { lastInputMs: -28_750 }, 1_250, { action: 'flush' }],
    ['input half a minute ago, too early', { lastInputMs: -28_750 }, 1_249, { action: 'wait', delayMs: 1 }],
    ['input longer ago', { lastInputMs: -28_751 }, 1_250, { action: 'wait', delayMs: 250 }],
    ['a trickle, too early', { trickles: 4 }, 1_500, { action: 'wait', delayMs: 1_500 }],
    ['a trickle, two seconds later', { trickles: 4 }, 3_000, { action: 'flush' }],
    ['the tenth frame of a long answer', { flushes: 9 }, 1_500, { action: 'flush' }],
    ['a long answer, half a second later', { flushes: 10 }, 1_500, { action: 'wait', delayMs: 500 }],
    ['a long answer, a second later', { flushes: 10 }, 2_000, { action: 'flush' }],
    ['a long answer that somebody waits for', { flushes: 10, lastInputMs: -20_000 }, 1_250, { action: 'flush' }],
    ['much output after a trickle', { trickles: 4, backlogBytes: 1_024 }, 1_500, { action: 'flush' }],
    ['a trickle that somebody waits for', { trickles: 4, lastInputMs: -20_000 }, 1_250, { action: 'flush' }],
    ['the echo in a trickle', { trickles: 4, lastInputMs: 1_010, isEchoDue: true }, 1_011, { action: 'flush' }],
    ['after input, 16 ms later', { lastInputMs: 1_010 }, 1_016, { action: 'flush' }],
    ['after input, too early', { lastInputMs: 1_010 }, 1_012, { action: 'wait', delayMs: 4 }],
    ['after input, much output', { lastInputMs: 1_010, backlogBytes: 5_000 }, 1_016, { action: 'wait', delayMs: 17 }],
    ['input a second ago', { lastInputMs: 100 }, 1_100, { action: 'flush' }],
    ['input more than a second ago', { lastInputMs: 100 }, 1_101, { action: 'wait', delayMs: 149 }],
    ['the echo of an input', { lastInputMs: 1_010, isEchoDue: true }, 1_011, { action: 'flush' }],
    ['output long after an input', { lastInputMs: 1, isEchoDue: true }, 1_011, { action: 'wait', delayMs: 239 }],
    ['too much', { backlogBytes: LIVE_BACKLOG_MAX_BYTES + 1 }, 1_001, { action: 'overflow' }],
  ] as const)('%s', (_, change, nowMs, expected) => {
    expect(decideFlush({ ...base, ...change }, nowMs)).toEqual(expected);
  });

  const pacer = () => {
    const { clock, move } = manualClock();
    const flushed: string[][] = [];
    let overflows = 0;
    const paced = outputPacer({
      clock,
      onFlush: (pieces) => flushed.push(pieces.map(({ text }) => text)),
      onSnapshotNeeded: () => {
        overflows += 1;
      },
    });
    return { paced, flushed, move, overflows: () => overflows };
  };

  test('gathers, joins what belongs together, and never over a resize', () => {
    const { paced, flushed, move } = pacer();
    paced.setWatched(true);
    paced.push(piece(0, 'a'));
    paced.push(piece(1, 'b'));
    paced.push(piece(2, 'c'));
    paced.push(piece(3, 'd', 1));
    move(499);
    expect(flushed).toEqual([['a']]);
    move(1);
    expect(flushed).toEqual([['a'], ['bc', 'd']]);
  });
  test('a spinner is redrawn once in two seconds after its first frames, and text behind a silence comes at once', () => {
    const { paced, flushed, move } = pacer();
    paced.setWatched(true);
    for (let at = 0; at < 60; at += 1) {
      paced.push(piece(at, '.'));
      move(100);
    }
    expect(flushed.length).toBeLessThanOrEqual(8);
    expect(flushed.flat().join('').length).toBeGreaterThan(35);
    move(5_000);
    const before = flushed.length;
    paced.push(piece(60, 'a'));
    expect(flushed.slice(before)).toEqual([['a']]);
    paced.push(piece(61, 'b'));
    move(500);
    expect(flushed.slice(before)).toEqual([['a'], ['b']]);
  });
  test('input makes it quick', () => {
    const { paced, flushed, move } = pacer();
    paced.setWatched(true);
    paced.push(piece(0, 'a'));
    paced.push(piece(1, 'b'));
    move(20);
    paced.noteInput();
    expect(flushed).toEqual([['a'], ['b']]);
  });
  test('each key has its echo at once, what follows it is gathered', () => {
    const { paced, flushed, move } = pacer();
    paced.setWatched(true);
    paced.push(piece(0, 'a'));
    paced.noteInput();
    paced.push(piece(1, 'b'));
    paced.push(piece(2, 'c'));
    expect(flushed).toEqual([['a'], ['b']]);
    paced.noteInput();
    paced.push(piece(3, 'd'));
    move(15);
    expect(flushed).toEqual([['a'], ['b'], ['cd']]);
  });
  test('unwatched output goes nowhere, and too much asks for a snapshot', () => {
    const { paced, flushed, move, overflows } = pacer();
    paced.push(piece(0, 'unseen'));
    paced.setWatched(true);
    paced.push(piece(6, 'a'));
    const big = 'x'.repeat(LIVE_BACKLOG_MAX_BYTES + 1);
    paced.push(piece(7, big));
    expect(overflows()).toBe(1);
    move(1_000);
    expect(flushed).toEqual([['a']]);
  });
});

describe('transcript chunks', () => {
  test.each([
    [0, 1e9, true, 'keep'],
    [65_535, 29_999, true, 'keep'],
    [65_536, 999, true, 'keep'],
    [65_536, 1_000, true, 'close'],
    [4_194_303, 999, true, 'keep'],
    [4_194_304, 0, true, 'close'],
    [1, 30_000, true, 'close'],
    [1_048_575, 299_999, false, 'keep'],
    [1_048_575, 1_000, false, 'keep'],
    [1_048_576, 1_000, false, 'close'],
    [4_194_304, 0, false, 'close'],
    [1, 300_000, false, 'close'],
  ] as const)('%i bytes after %i ms, watched %s: %s', (sizeBytes, ageMs, isWatched, expected) => {
    expect(decideChunk(sizeBytes, ageMs, isWatched)).toBe(expected);
  });

  test('a flood makes few chunks, and its end is not forgotten', async () => {
    const { clock, move } = manualClock();
    const ends: number[] = [];
    let head = 0;
    const screen = { epoch: 1, sizeRev: 0, cols: 80, rows: 24, data: 'key' };
    const held: (() => void)[] = [];
    const chunker = transcriptChunker({
      ...{ sessionId: 'ses_01M818DT2M4AAKW8PWHM6KKR6T', clock, start: { ...screen, offset: 0 }, number: 0 },
      snapshot: async () => {
        const snapshot = { ...screen, offset: head };
        await new Promise<void>((resolve) => held.push(resolve));
        return { kind: 'snapshot', snapshot };
      },
      onChunk: ({ endOffset }) => ends.push(endOffset),
    });
    const push = (text: string) => {
      chunker.push(piece(head, text));
      head += text.length;
    };
    chunker.setWatched(true);
    for (let round = 0; round < 20; round += 1) push('x'.repeat(65_536));
    expect(held.length).toBe(0);
    move(1_000);
    push('while the screen is taken');
    held.shift()?.();
    await vi.waitFor(() => expect(ends).toEqual([20 * 65_536]));
    move(30_000);
    held.shift()?.();
    await vi.waitFor(() => expect(ends.at(-1)).toBe(head));
  });

  test('each starts with a keyframe where the one before ended', async () => {
    const { clock, move } = manualClock();
    const chunks: ClosedChunk[] = [];
    const key = (offset: number) => ({ epoch: 1, offset, sizeRev: 0, cols: 80, rows: 24, data: `key at ${offset}` });
    let next: SnapshotResult = { kind: 'not_at_ground' };
    const taken: (() => void)[] = [];
    const chunker = transcriptChunker({
      sessionId: 'ses_01M818DT2M4AAKW8PWHM6KKR6T',
      clock,
      start: key(0),
      number: 7,
      snapshot: () => {
        taken.shift()?.();
        return Promise.resolve(next);
      },
      onChunk: (chunk) => chunks.push(chunk),
    });
    chunker.setWatched(true);
    chunker.push(piece(0, 'abä'));
    chunker.push(piece(4, 'de', 1));
    // The screen still holds two bytes of an unfinished sequence: the keyframe lies inside a piece.
    next = { kind: 'snapshot', snapshot: { ...key(5), sizeRev: 1 } };
    move(30_000);
    await new Promise(setImmediate);
    chunker.push(piece(6, 'f', 1));
    await chunker.end();
    const bodies = chunks.map(({ body }) => TranscriptChunk.parse(JSON.parse(gunzipSync(body).toString())));
    expect(chunks.map(({ number, firstOffset, endOffset }) => [number, firstOffset, endOffset])).toEqual([
      [7, 0, 5],
      [8, 5, 7],
    ]);
    expect(bodies.map(({ keyframe }) => keyframe)).toEqual([
      { cols: 80, rows: 24, sizeRev: 0, data: 'key at 0' },
      { cols: 80, rows: 24, sizeRev: 1, data: 'key at 5' },
    ]);
    expect(
      bodies.map(({ parts }) => parts.map((part) => [part.k, part.offset, part.k === 'o' ? part.data : part.sizeRev])),
    ).toEqual([
      [
        ['o', 0, 'abä'],
        ['r', 4, 1],
        ['o', 4, 'd'],
      ],
      [
        ['o', 5, 'e'],
        ['o', 6, 'f'],
      ],
    ]);
    for (const { body, sizeBytes, sha256Base64 } of chunks) {
      expect(sizeBytes).toBe(body.length);
      expect(sha256Base64).toBe(createHash('sha256').update(body).digest('base64'));
    }
  });
});
