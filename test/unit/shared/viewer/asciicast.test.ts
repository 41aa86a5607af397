/** A recording that any asciicast v2 player takes: real pauses, sizes where they changed, marks where things happened. */
import { describe, expect, test } from 'vitest';
import type { EventDraft, SessionEvent } from '../../../../shared/events.ts';
import type { TranscriptChunk } from '../../../../shared/http.ts';
import { CAST_MARKER_MAX_CHARS, CAST_MARKERS_MAX } from '../../../../shared/limits.ts';
import { AsciicastWriter } from '../../../../shared/viewer/asciicast.ts';
import { type CastMarker, CastMarkers } from '../../../../shared/viewer/cast-markers.ts';
import { castParts } from '../../../../shared/viewer/cast-parts.ts';
import { mockId } from '../../../e2e/mock/mock-data.ts';

const T0 = 1_767_225_600_000;
const out = (atMs: number, offset: number, data: string) => ({ k: 'o' as const, ts: T0 + atMs, offset, data });
const chunk = (
  epoch: number,
  parts: TranscriptChunk['parts'],
  over: Partial<TranscriptChunk> = {},
): TranscriptChunk => {
  const firstOffset = parts[0]?.offset ?? 0;
  const bytes = parts.reduce((sum, part) => sum + (part.k === 'o' ? Buffer.byteLength(part.data) : 0), 0);
  return {
    v: 1,
    sessionId: mockId('ses', 1),
    epoch,
    number: 0,
    firstOffset,
    endOffset: firstOffset + bytes,
    keyframe: { cols: 80, rows: 24, sizeRev: 0, data: '\u001bcscreen' },
    parts,
    ...over,
  };
};
const mark = (epoch: number, offset: number, atMs: number, label: string): CastMarker => ({
  ...{ epoch, offset, atMs: T0 + atMs, label, seq: offset },
  isMinor: false,
});
const cast = (chunks: TranscriptChunk[], markers: CastMarker[] = []) => {
  const writer = new AsciicastWriter({ title: 'Fix it', markers });
  const text = [...chunks.flatMap((one) => writer.next(one)), ...writer.end({ cols: 80, rows: 24 })].join('');
  const [header, ...events] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { header, events };
};

describe('an asciicast', () => {
  test('has a header, what was on the screen, and then what was written when', () => {
    const { header, events } = cast([chunk(1, [out(0, 0, 'é'), out(61_500, 2, 'b')]), chunk(1, [out(62_000, 3, 'c')])]);
    expect(header).toEqual({
      ...{ version: 2, width: 80, height: 24, timestamp: T0 / 1_000, title: 'Fix it' },
      env: { TERM: 'xterm-256color' },
    });
    expect(events).toEqual([
      [0, 'o', '\u001bcscreen'],
      [0, 'o', 'é'],
      [61.5, 'o', 'b'],
      [62, 'o', 'c'],
    ]);
  });

  test('changes its size where the stream did, and goes on over epochs and holes from their own screens', () => {
    const resize = { k: 'r' as const, ts: T0 + 10, offset: 1, sizeRev: 1, cols: 100, rows: 30 };
    const wide = { cols: 100, rows: 30, sizeRev: 1, data: 'plain' };
    const { events } = cast([
      chunk(1, [out(0, 0, 'a'), resize, out(20, 1, 'b')]),
      chunk(1, [out(50, 9, 'z')], { keyframe: wide }),
      chunk(2, [out(3_600_000, 0, 'y')]),
    ]);
    expect(events.slice(2)).toEqual([
      [0.01, 'r', '100x30'],
      [0.02, 'o', 'b'],
      [0.05, 'm', '7 bytes were not stored'],
      [0.05, 'o', '\u001bcplain'],
      [0.05, 'o', 'z'],
      [3600, 'm', 'epoch 2'],
      [3600, 'r', '80x24'],
      [3600, 'o', '\u001bcscreen'],
      [3600, 'o', 'y'],
    ]);
  });

  test('marks stand at their place in the terminal, in their time where that fits, and none is lost', () => {
    const markers = [
      mark(1, 0, -500, 'start'),
      mark(1, 1, 400, 'after a'),
      mark(1, 1, 99_000, 'a clock that is ahead'),
      mark(1, 7, 1_500, 'inside c'),
      mark(2, 0, 5_000, 'in the next epoch'),
      mark(2, 50, 9_000, 'at the end'),
    ];
    const { events } = cast(
      [chunk(1, [out(0, 0, 'a'), out(1_000, 1, 'bcdefghi')]), chunk(2, [out(6_000, 0, 'x')])],
      markers,
    );
    expect(events.filter(([, code]) => code !== 'o')).toEqual([
      [0, 'm', 'start'],
      [0.4, 'm', 'after a'],
      [1, 'm', 'a clock that is ahead'],
      [1.5, 'm', 'inside c'],
      [5, 'm', 'epoch 2'],
      [5, 'm', 'in the next epoch'],
      [9, 'm', 'at the end'],
    ]);
    const times = events.map(([time]) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('has every epoch in order, also those of which nothing is stored', () => {
    const markers = [
      mark(1, 1, 500, 'runner lost'),
      mark(2, 0, 1_000, 'started again'),
      mark(2, 90, 2_000, 'runner given back'),
      mark(3, 1, 4_000, 'given back again'),
      mark(4, 0, 5_000, 'last'),
      mark(4, 3, 6_000, 'over'),
    ];
    const { events } = cast([chunk(1, [out(0, 0, 'a')]), chunk(3, [out(3_000, 0, 'c')])], markers);
    expect(events.slice(2)).toEqual([
      [0.5, 'm', 'runner lost'],
      [1, 'm', 'epoch 2'],
      [1, 'm', 'started again'],
      [2, 'm', 'runner given back'],
      [3, 'm', 'epoch 3'],
      [3, 'o', '\u001bcscreen'],
      [3, 'o', 'c'],
      [4, 'm', 'given back again'],
      [5, 'm', 'epoch 4'],
      [5, 'm', 'last'],
      [6, 'm', 'over'],
    ]);
  });

  test('says once what is missing, also where nothing follows it in its epoch', () => {
    const gap = (epoch: number, fromOffset: number, toOffset: number): SessionEvent => ({
      ...{
        v: 1,
        sessionId: mockId('ses', 1),
        tenantId: 'local',
        rseq: 1,
        seq: 1,
        ts: T0 + 300 * epoch - 200,
        offset: toOffset,
        epoch,
      },
      ...{ type: 'stream_gap', fromOffset, toOffset, reason: 'the store was away' },
    });
    const markers = new CastMarkers();
    markers.add([gap(1, 1, 9), gap(1, 10, 30), gap(2, 1, 5)]);
    const { events } = cast(
      [chunk(1, [out(0, 0, 'a')]), chunk(1, [out(200, 9, 'z')]), chunk(2, [out(300, 0, 'y')])],
      markers.list(),
    );
    expect(events.filter(([, code]) => code === 'm')).toEqual([
      [0.1, 'm', '8 bytes were not stored: the store was away'],
      [0.2, 'm', '20 bytes were not stored: the store was away'],
      [0.3, 'm', 'epoch 2'],
      [0.4, 'm', '4 bytes were not stored: the store was away'],
    ]);
  });

  test('from a later chunk leaves out what came before it', () => {
    const { events } = cast(
      [chunk(2, [out(0, 10, 'a')])],
      [mark(1, 5, -9, 'old'), mark(2, 9, -5, 'old'), mark(2, 10, 0, 'kept')],
    );
    expect(events.filter(([, code]) => code === 'm')).toEqual([[0, 'm', 'kept']]);
  });

  test('never goes back in time, whatever the clock did', () => {
    const { events } = cast([chunk(1, [out(5_000, 0, 'a'), out(100, 1, 'b'), out(6_000, 2, 'c')])]);
    expect(events.map(([time]) => time)).toEqual([0, 0, 0, 1]);
  });

  test('of nothing is a header', () => {
    expect(cast([]).events).toEqual([]);
    expect(cast([]).header).toMatchObject({ version: 2, width: 80, height: 24 });
  });
});

describe('markers', () => {
  const event = (seq: number, draft: EventDraft): SessionEvent => ({
    ...{
      v: 1,
      sessionId: mockId('ses', 1),
      tenantId: 'local',
      epoch: 1,
      rseq: seq,
      ts: T0 + seq,
      offset: seq * 2,
      seq,
    },
    ...draft,
  });
  const tool = (seq: number) =>
    event(seq, { type: 'tool_started', toolUseId: 't', toolName: 'Bash', summary: 'npm test' });

  test('are turns, tools and changes of state, in one line each and in the order of the stream', () => {
    const markers = new CastMarkers();
    markers.add([tool(3)]);
    markers.add([
      event(1, { type: 'turn_started', turn: 1, prompt: `fix\r\n\u001b[31m ${'long '.repeat(50)}` }),
      event(2, {
        type: 'usage_tick',
        counters: {} as never,
        final: false,
        cliVersion: '',
        runnerBuild: '',
        taskDefinition: '',
      }),
    ]);
    const [turn, second] = markers.list();
    expect(turn?.label.startsWith('turn 1: fix [31m long')).toBe(true);
    expect(turn?.label.length).toBeLessThanOrEqual(CAST_MARKER_MAX_CHARS);
    expect(second).toMatchObject({ label: 'Bash: npm test', offset: 6, isMinor: true });
    expect(markers.list()).toHaveLength(2);
  });

  test('are bounded: single tools go first', () => {
    const markers = new CastMarkers();
    for (let seq = 1; seq <= 3 * CAST_MARKERS_MAX; seq += 1)
      markers.add([seq % 100 === 0 ? event(seq, { type: 'turn_finished', turn: seq, tookMs: 1 }) : tool(seq)]);
    const list = markers.list();
    expect(list.length).toBeLessThanOrEqual(CAST_MARKERS_MAX);
    expect(list.filter(({ label }) => label.startsWith('turn'))).toHaveLength((3 * CAST_MARKERS_MAX) / 100);
  });
});

describe('a long session', () => {
  const listed = (epoch: number, firstOffset: number, endOffset: number) => ({ epoch, firstOffset, endOffset });

  test('is played in parts that are small enough, in order and with nothing left out', () => {
    const chunks = [listed(1, 0, 40), listed(1, 40, 90), listed(1, 90, 300), listed(2, 0, 10), listed(2, 10, 20)];
    const parts = castParts(chunks, 100);
    expect(parts.map(({ sizeBytes }) => sizeBytes)).toEqual([90, 210, 20]);
    expect(parts.flatMap((part) => part.chunks)).toEqual(chunks);
    expect(castParts([])).toEqual([]);
  });
});
