import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveView } from '../../../../runner-image/src/session/live-view.ts';
import { readPieces } from '../../../../runner-image/src/session/spool-pieces.ts';
import { snapshotParts } from '../../../../runner-image/src/session/watcher-frames.ts';
import { openSpool, type Spool } from '../../../../runner-image/src/stream/spool.ts';
import { openTerminalStream, type TerminalStream } from '../../../../runner-image/src/stream/terminal-stream.ts';
import { type FrameOf, RunnerFrame, type WatcherList } from '../../../../shared/frames.ts';
import { ATTACH_BYTES_MAX, FRAME_MAX_BYTES, SNAPSHOT_MAX_PARTS } from '../../../../shared/limits.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';

const SESSION = 'ses_01J0000000000000000000000A';
const AGENT = 'agt_01J0000000000000000000000A';
let folder: string;
let clock: ManualClock;
let spool: Spool;
let stream: TerminalStream;
let live: LiveView;
let frames: RunnerFrame[];
let bufferedBytes: number;
let rawOffset: number;

const watchers = (rev: number, ...ids: string[]): WatcherList => ({
  rev,
  viewers: ids.map((viewerId) => ({ viewerId, mode: 'watch' })),
  controllerId: null,
  controlTerm: 0,
});
const write = (text: string) => {
  const bytes = Buffer.from(text);
  stream.accept(bytes, rawOffset);
  rawOffset += bytes.length;
};
const of = <T extends RunnerFrame['type']>(type: T) =>
  frames.filter((frame): frame is FrameOf<RunnerFrame, T> => frame.type === type);
/** What a viewer shows that starts with nothing at `from`: its bytes in order, or the hole it met. */
const shown = (from: number, outputs = of('terminal_output')): string => {
  let at = from;
  let text = '';
  for (const { offset, data } of outputs) {
    const bytes = Buffer.from(data);
    if (offset > at) return `${text}<hole ${at}-${offset}>`;
    if (offset + bytes.length <= at) continue;
    text += bytes.subarray(at - offset).toString();
    at = offset + bytes.length;
  }
  return text;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'live-'));
  clock = manualClock();
  frames = [];
  bufferedBytes = 0;
  rawOffset = 0;
  spool = openSpool({ folder, epoch: 1 });
  stream = openTerminalStream({ epoch: 1, spool, cols: 80, rows: 24, secrets: [], clock, ack: () => {} });
  live = new LiveView({
    sessionId: SESSION,
    epoch: 1,
    agentId: AGENT,
    capability: 'cap',
    stream,
    spool,
    clock,
    send: (text) => {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(FRAME_MAX_BYTES);
      frames.push(RunnerFrame.parse(JSON.parse(text)));
    },
    bufferedBytes: () => bufferedBytes,
  });
});
afterEach(() => {
  live.dispose();
  stream.dispose();
  spool.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('live view', () => {
  it('sends nothing while nobody watches', () => {
    write('secret work\r\n');
    clock.advance(10_000);
    expect(frames).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('sends what a watcher misses nothing of, in frames that fit, with the list it knows', () => {
    live.setWatchers(watchers(4, 'v-one'));
    const text = 'ünïcode "quoted" \u001b[31m\r\n'.repeat(4_000);
    write(text);
    clock.advance(300);
    expect(shown(0)).toBe(text);
    expect(of('terminal_output').length).toBeGreaterThan(3);
    expect(new Set(of('terminal_output').map(({ viewersRev }) => viewersRev))).toEqual(new Set([4]));
    expect(of('terminal_output').map(({ seq }) => seq)).toEqual(of('terminal_output').map((_, index) => index));
  });

  it('sends an echo at once', () => {
    live.setWatchers(watchers(1, 'v-one'));
    write('prompt');
    clock.advance(1_000);
    frames.length = 0;
    live.noteInput();
    write('x');
    expect(shown(6)).toBe('x');
  });

  it('sends no head between the frames of a spinner: output that waits shows as well what was lost', () => {
    live.setWatchers(watchers(1, 'v1'));
    for (let step = 0; step < 100; step += 1) {
      write('-');
      clock.advance(100);
    }
    expect(of('terminal_output').length).toBeLessThan(12);
    expect(of('head')).toEqual([]);
    clock.advance(10_000);
    expect(of('head')).toHaveLength(2);
    expect(of('head').at(-1)).toMatchObject({ offset: 100 });
  });

  it('repeats the head after silence', () => {
    live.setWatchers(watchers(1, 'v-one'));
    write('abc');
    clock.advance(499);
    expect(of('head')).toEqual([]);
    clock.advance(1);
    expect(of('head')).toMatchObject([{ offset: 3, viewersRev: 1 }]);
    clock.advance(4_500);
    expect(of('head')).toHaveLength(2);
    clock.advance(60_000);
    expect(of('head')).toHaveLength(2);
  });

  it('answers an attach from a near address with its bytes, for that viewer alone', () => {
    write('0123456789');
    live.attach({ viewerId: 'v-two', from: { epoch: 1, offset: 4 } });
    expect(of('terminal_output')).toMatchObject([{ offset: 4, data: '456789', viewerId: 'v-two' }]);
    expect(of('head')).toHaveLength(1);
  });

  it.each([
    ['no address', undefined],
    ['a lower epoch', { epoch: 0, offset: 3 }],
    ['an address beyond the head', { epoch: 1, offset: 99 }],
    ['an address inside a character', { epoch: 1, offset: 1 }],
  ])('answers %s with a snapshot', async (_name, from) => {
    write('ä on the screen');
    live.attach({ viewerId: 'v-two', ...(from === undefined ? {} : { from }) });
    await vi.waitFor(() => expect(of('terminal_snapshot')).toHaveLength(1));
    expect(of('terminal_snapshot')[0]).toMatchObject({ viewerId: 'v-two', offset: 16, part: 0, parts: 1 });
    expect(of('terminal_snapshot')[0]?.data).toContain('ä on the screen');
  });

  it('pauses frames on a slow line, and brings everybody on with a snapshot', async () => {
    live.setWatchers(watchers(1, 'v-one', 'v-two'));
    write('before ');
    clock.advance(300);
    bufferedBytes = 10_000_000;
    write('lost on the line ');
    clock.advance(5_000);
    expect(shown(0)).toBe('before ');
    bufferedBytes = 0;
    clock.advance(500);
    await vi.waitFor(() => expect(of('terminal_snapshot')).toHaveLength(2));
    const [first] = of('terminal_snapshot');
    expect(of('terminal_snapshot').map(({ viewerId }) => viewerId)).toEqual(['v-one', 'v-two']);
    expect(first?.data).toContain('before lost on the line');
    frames.length = 0;
    write('after');
    clock.advance(300);
    expect(shown(first?.offset ?? 0)).toBe('after');
  });

  it('replaces a flood by snapshots, at a bounded rate, and ends with the last line', async () => {
    live.setWatchers(watchers(1, 'v-one'));
    const line = `${'y'.repeat(78)}\r\n`;
    for (let round = 0; round < 20; round++) {
      write(line.repeat(ATTACH_BYTES_MAX / 40));
      clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    write('the last line');
    await vi.waitFor(() => {
      clock.advance(500);
      const snapshot = of('terminal_snapshot').at(-1);
      const seen = `${snapshot?.data ?? ''}${shown(
        snapshot?.offset ?? 0,
        of('terminal_output').filter(({ offset }) => offset >= (snapshot?.offset ?? 0)),
      )}`;
      expect(seen).toContain('the last line');
      expect(seen).not.toContain('<hole');
    });
    const rounds = new Set(of('terminal_snapshot').map(({ snapshotId }) => snapshotId)).size;
    expect(rounds).toBeLessThan(20);
  });
});

describe('spool pieces', () => {
  it('are cut where the size changed', () => {
    write('one');
    stream.resize(100, 30);
    write('two');
    const range = readPieces(spool, 1, 6);
    expect(range).toMatchObject({
      kind: 'pieces',
      pieces: [
        { offset: 1, text: 'ne', cols: 80 },
        { offset: 3, endOffset: 6, text: 'two', cols: 100, rows: 30, sizeRev: 1 },
      ],
    });
    expect(readPieces(spool, 0, 99)).toEqual({ kind: 'unreadable' });
  });
});

describe('snapshotParts', () => {
  it('cuts the oldest lines of a screen that is too large', () => {
    const data = Array.from({ length: 10_000 }, (_, index) => `line ${index}`).join('\r\n');
    const parts = snapshotParts(data, 500);
    expect(parts.length).toBeLessThanOrEqual(SNAPSHOT_MAX_PARTS);
    expect(parts.join('').endsWith('line 9999')).toBe(true);
    expect(parts.join('').startsWith('\x1bcline ')).toBe(true);
    expect(snapshotParts('', 500)).toEqual(['']);
  });
});
