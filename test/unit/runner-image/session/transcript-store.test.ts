/** Chunks over failures and crashes: every byte of the stream is in a chunk or in a declared gap, once, with its time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { type TranscriptPlace, TranscriptStore } from '../../../../runner-image/src/session/transcript-store.ts';
import type { Stored } from '../../../../runner-image/src/session/uploads.ts';
import { openSpool } from '../../../../runner-image/src/stream/spool.ts';
import { openTerminalStream } from '../../../../runner-image/src/stream/terminal-stream.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { TranscriptChunk } from '../../../../shared/http.ts';
import { TRANSCRIPT_CHUNK_UNWATCHED_MS } from '../../../../shared/limits.ts';
import { AsciicastWriter } from '../../../../shared/viewer/asciicast.ts';
import { manualClock } from '../stream/manual-clock.ts';

const SESSION = 'ses_01M818DT2M4AAKW8PWHM6KKR6T';
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'transcript-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface World {
  readonly clock: ReturnType<typeof manualClock>;
  place: TranscriptPlace;
  readonly drafts: EventDraft[];
  /** As the object store has them, by number. */
  readonly objects: Map<number, Buffer>;
  /** What an upload comes to; stored at once unless a test says otherwise. */
  answer: (number: number) => Promise<'stored' | 'failed'>;
}
const newWorld = (): World => ({
  clock: manualClock(),
  place: { nextNumber: 0, storedOffset: 0 },
  drafts: [],
  objects: new Map(),
  answer: async () => 'stored',
});

/** One life of the runner process over the same disk. */
const life = async (world: World) => {
  const { clock } = world.clock;
  const spool = openSpool({ folder, epoch: 1 });
  const stream = openTerminalStream({
    ...{ epoch: 1, spool, cols: 80, rows: 24, secrets: [], clock },
    ack: () => {},
  });
  let isDead = false;
  const transcript = new TranscriptStore({
    ...{ sessionId: SESSION, epoch: 1, stream, spool, clock, log: silentLog, place: world.place },
    store: async (number, body): Promise<Stored> => {
      const kind = await world.answer(number);
      if (isDead) return new Promise(() => {});
      if (kind === 'failed') return { kind, why: 'refused' };
      expect(world.objects.has(number)).toBe(false);
      world.objects.set(number, Buffer.from(body));
      return { kind, key: `k${number}`, sha256: '', sizeBytes: body.length };
    },
    record: (draft) => {
      if (!isDead) world.drafts.push(draft);
    },
    onPlace: (place) => {
      if (!isDead) world.place = place;
    },
  });
  await transcript.start();
  return {
    transcript,
    /** Plain text without secrets: raw and redacted offsets are the same. */
    write: (text: string) => stream.accept(Buffer.from(text), stream.headOffset),
    resize: (cols: number, rows: number) => stream.resize(cols, rows),
    crash: () => {
      isDead = true;
      stream.dispose();
      spool.close();
    },
  };
};
const chunksOf = ({ objects, drafts }: World): TranscriptChunk[] =>
  drafts.flatMap((draft) => {
    const body = draft.type === 'transcript_chunk_stored' ? objects.get(draft.number) : undefined;
    return body === undefined ? [] : [TranscriptChunk.parse(JSON.parse(gunzipSync(body).toString()))];
  });
const textOf = (world: World): string =>
  chunksOf(world)
    .flatMap(({ parts }) => parts)
    .flatMap((part) => (part.k === 'o' ? [part.data] : []))
    .join('');
const closeChunk = async (world: World, count: number): Promise<void> => {
  world.clock.move(TRANSCRIPT_CHUNK_UNWATCHED_MS);
  await vi.waitFor(() => expect(world.objects.size).toBe(count));
};

describe('after a crash', () => {
  test('what was not stored is cut again from the spool, under new numbers, with the times at which it came', async () => {
    const world = newWorld();
    const first = await life(world);
    first.write('one\r\n');
    await closeChunk(world, 1);
    const unstored = world.clock.clock.nowMs();
    // The next upload is under way when the process dies.
    world.answer = () => new Promise(() => {});
    first.write('two\r\n');
    world.clock.move(40_000);
    first.resize(100, 30);
    first.write('three\r\n');
    world.clock.move(TRANSCRIPT_CHUNK_UNWATCHED_MS);
    await vi.waitFor(() => expect(world.place.nextNumber).toBe(2));
    first.crash();

    world.clock.move(600_000);
    world.answer = async () => 'stored';
    const second = await life(world);
    second.write('four\r\n');
    await second.transcript.end();
    second.crash();

    expect(textOf(world)).toBe('one\r\ntwo\r\nthree\r\nfour\r\n');
    expect(world.drafts.filter(({ type }) => type === 'stream_gap')).toEqual([]);
    expect(world.place).toMatchObject({ storedOffset: 23 });
    const numbers = chunksOf(world).map(({ number }) => number);
    expect(numbers[0]).toBe(0);
    expect(Math.min(...numbers.slice(1))).toBeGreaterThan(1);
    const parts = chunksOf(world)
      .slice(1)
      .flatMap((chunk) => chunk.parts);
    expect(parts.map((part) => [part.k, part.ts - unstored])).toEqual([
      ['o', 0],
      ['r', 40_000],
      ['o', 40_000],
      ['o', 40_000 + TRANSCRIPT_CHUNK_UNWATCHED_MS + 600_000],
    ]);
    const writer = new AsciicastWriter({ title: 't', markers: [] });
    const cast = chunksOf(world)
      .flatMap((chunk) => writer.next(chunk))
      .join('');
    expect(cast).toContain('"r","100x30"');
  });

  test('a chunk that was stored but not yet said to be is stored once more, and told once', async () => {
    const world = newWorld();
    const first = await life(world);
    const dies = Promise.withResolvers<'stored'>();
    world.answer = () => dies.promise;
    first.write('only\r\n');
    world.clock.move(TRANSCRIPT_CHUNK_UNWATCHED_MS);
    await vi.waitFor(() => expect(world.place.nextNumber).toBe(1));
    first.crash();
    dies.resolve('stored');
    world.answer = async () => 'stored';
    const second = await life(world);
    await second.transcript.end();
    second.crash();
    expect(textOf(world)).toBe('only\r\n');
    expect(chunksOf(world).map(({ number }) => number)).toEqual([1]);
  });
});

test('what cannot be stored is a gap that says why, and the next chunk begins with its own screen', async () => {
  const world = newWorld();
  const only = await life(world);
  world.answer = async (number) => (number === 0 ? 'failed' : 'stored');
  only.write('lost\r\n');
  world.clock.move(TRANSCRIPT_CHUNK_UNWATCHED_MS);
  await vi.waitFor(() => expect(world.drafts).toHaveLength(1));
  only.write('kept\r\n');
  await only.transcript.end();
  only.crash();
  expect(world.drafts).toMatchObject([
    { type: 'stream_gap', fromOffset: 0, toOffset: 6, reason: expect.stringContaining('refused') },
    { type: 'transcript_chunk_stored', number: 1, firstOffset: 6, endOffset: 12 },
  ]);
  expect(chunksOf(world)[0]?.keyframe.data).toContain('lost');
});
